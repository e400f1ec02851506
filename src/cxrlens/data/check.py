"""What a careful person wants to know of a cohort before training."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from cxrlens.data.cache import ImageCache
from cxrlens.data.check_sentences import fault_sentences, warning_sentences
from cxrlens.data.cohort import Cohort
from cxrlens.data.demographics import AGE_BANDS, age_band
from cxrlens.data.integrity import Integrity, Pair, examine
from cxrlens.data.leaks import SideCounts, cohort_summary, side_counts
from cxrlens.data.split import Split, SplitOptions, check_interval, make_splits
from cxrlens.data.steps import StepGroup, group_steps, reading_notes, reading_sentences
from cxrlens.errors import UserError

Counts = dict[str, dict[str, int]]
UNKNOWN = "unknown"
SIGNS = {1.0: "positive", 0.0: "negative"}


@dataclass(frozen=True)
class CheckReport:
    """A cohort's counts, faults and warnings; everything is of the listed rows unless it says otherwise.

    Attributes:
        name: of the source.
        cohort: the `cohort` of `results.json`.
        unlabelled: listed rows without a label.
        counts: what (`view`, `source`, `sex`, `age`) → value → positive, negative, unlabelled.
        images_a_patient: number of images → number of patients who have so many.
        split: its kind.
        splits: the study's; empty where the split cannot be drawn.
        sides: one a fold; empty where the split cannot be drawn.
        left_out: reason → rows of the source that are left out.
        origins: reason → whence it comes, where that is no option of the study.
        unlisted: image files that no row names.
        other_files: files beside the images that are no images by their name.
        integrity: missing, unreadable, duplicates, what tells the label.
        merged: patient → the patient that the split takes it for; empty where the split merges nobody.
        warnings: sentences to read before training.
        notes: sentences that matter in a check of the data alone.
        reading_notes: sentences on the bits that files are read as, where all agree.
        faults: what is plainly wrong: missing and unreadable files, conflicting labels, a split that cannot be drawn
            or whose validation side is too small for an interval.
        depth: bits that most of the image files of more than 8 bits use, if they agree.
        steps: what was done to read the images, by kind: warnings, then conversions.
        findings: of the audit before training, as plain values (`audit.records.plain_finding`); () until it is made.
    """

    name: str
    cohort: dict[str, object]
    unlabelled: int
    counts: dict[str, Counts]
    images_a_patient: dict[int, int]
    split: str
    splits: tuple[Split, ...]
    sides: tuple[SideCounts, ...]
    left_out: dict[str, int]
    unlisted: tuple[str, ...]
    other_files: tuple[str, ...]
    integrity: Integrity
    merged: dict[str, str]
    warnings: tuple[str, ...]
    faults: tuple[str, ...]
    depth: int | None = None
    steps: tuple[StepGroup, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    reading_notes: tuple[str, ...] = ()
    origins: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object; unknown numbers are null."""
        return json.dumps(self.plain(), indent=2, ensure_ascii=False, allow_nan=False)

    def plain(self) -> dict[str, Any]:
        """The same as plain values, nothing shortened."""
        found = self.integrity
        return {
            "source": self.name,
            "cohort": self.cohort,
            "unlabelled": self.unlabelled,
            "counts": self.counts,
            "images_a_patient": self.images_a_patient,
            "left_out": self.left_out,
            "left_out_origins": self.origins,
            "unlisted": self.unlisted,
            "other_files": self.other_files,
            "absent": _named(found.absent),
            "unreadable": _named(found.unreadable),
            "duplicates": [_pair(pair) for pair in found.duplicates.pairs],
            "duplicates_shortlisted": found.duplicates.shortlisted,
            "duplicates_compared": found.duplicates.compared,
            "one_patient_under_ids": found.one_patient,
            "label_from_column": [asdict(one) for one in found.associations],
            "depth": self.depth,
            "reading": [group.to_json() for group in self.steps],
            "findings": self.findings,
            "split": {"kind": self.split, "folds": [asdict(side) for side in self.sides]},
            "warnings": self.warnings,
            "notes": (*self.notes, *self.reading_notes),
            "faults": self.faults,
        }


def check(
    cohort: Cohort,
    options: SplitOptions,
    cache: ImageCache,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Counts a cohort, examines its images and draws the study's split.

    Args:
        cohort: as its source lists it.
        options: the study's `[split]`.
        cache: of its images.
        progress: told how far the search for duplicates is: (done, of how many).
    """
    found = examine(cohort, cache, progress)
    known = cohort.with_missing(cache.missing)
    merged = found.groups if options.merges else {}
    splits: tuple[Split, ...] = ()
    faults = [*cohort.faults, *fault_sentences(found)]
    try:
        splits = make_splits(known, options, found.groups)
        check_interval(known.table, splits, merged)
    except UserError as error:
        faults.append(str(error))
    sides = tuple(side_counts(known.table, split, found.groups) for split in splits)
    return CheckReport(
        name=cohort.name,
        cohort=cohort_summary(known, splits),
        unlabelled=int(cohort.table["label"].isna().sum()),
        counts=count_labels(cohort.table),
        images_a_patient=dict(sorted(Counter(Counter(cohort.table["patient"].tolist()).values()).items())),
        split=options.kind,
        splits=splits,
        sides=sides,
        left_out=cohort.left_out,
        unlisted=cohort.unlisted,
        other_files=cohort.other_files,
        integrity=found,
        merged=merged,
        warnings=(
            *(sentence for sentence in cohort.warnings if sentence not in cohort.faults),
            *warning_sentences(known.table, found, splits, sides, merged=options.merges),
            *reading_sentences(cache.facts),
        ),
        faults=tuple(faults),
        depth=cache.depth,
        steps=group_steps(cache.facts["image"], cache.facts["steps"]),
        origins=cohort.origins,
        notes=cohort.notes,
        reading_notes=tuple(reading_notes(cache.facts)),
    )


def count_labels(table: pd.DataFrame) -> dict[str, Counts]:
    """View, source, sex and age → value → positive, negative, unlabelled; the most frequent first, ages in order."""
    signs = [SIGNS.get(label, "unlabelled") for label in table["label"].tolist()]
    columns = {name: [value or UNKNOWN for value in table[name].tolist()] for name in ("view", "source", "sex")}
    columns["age"] = [age_band(age) for age in table["age"].tolist()]
    counts: dict[str, Counts] = {}
    for name, values in columns.items():
        both = Counter(zip(values, signs, strict=True))
        seen = [value for value, _ in Counter(values).most_common()]
        order = [band for band in (*AGE_BANDS, UNKNOWN) if band in seen] if name == "age" else seen
        counts[name] = {
            value: {sign: both[value, sign] for sign in ("positive", "negative", "unlabelled")} for value in order
        }
    return counts


def _pair(pair: Pair) -> dict[str, object]:
    return {
        "images": pair.images,
        "patients": pair.patients,
        "labels": [None if math.isnan(label) else int(label) for label in pair.labels],
        "identical": pair.identical,
        "similarity": round(pair.similarity, 4),
    }


def _named(reasons: dict[str, str]) -> list[dict[str, str]]:
    return [{"image": image, "reason": reason} for image, reason in reasons.items()]
