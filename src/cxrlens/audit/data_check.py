"""What a careful person wants to know of a cohort before training."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from cxrlens.audit.associations import PREDICTIVE, Association, associations
from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.data.demographics import AGE_BANDS, age_band
from cxrlens.data.duplicates import Duplicates, Pair, find_duplicates, merge_groups
from cxrlens.data.split import (
    SetCounts,
    Split,
    SplitOptions,
    check_interval,
    cohort_summary,
    leak,
    make_splits,
    patients_warning,
    set_counts,
    split_warning,
)
from cxrlens.data.steps import StepGroup, group_steps, reading_notes, reading_sentences
from cxrlens.errors import UserError
from cxrlens.text import first_few, many

# What is wrong or odd with a cohort's images: unreadable, there twice, under two patient ids, known from metadata.

__all__ = ["Duplicates", "Integrity", "Pair", "examine", "find_duplicates", "merge_groups"]


@dataclass(frozen=True)
class Integrity:
    """What an examination found.

    Attributes:
        absent: image → why the source has no file for it.
        unreadable: image → why its file was rejected.
        duplicates: images that are there twice.
        groups: patient → group; patients who share an image are one. For `make_splits`.
        associations: how well each column alone tells the label, the most telling first.
    """

    absent: dict[str, str]
    unreadable: dict[str, str]
    duplicates: Duplicates
    groups: dict[str, str]
    associations: tuple[Association, ...]

    @property
    def two_ids(self) -> tuple[Pair, ...]:
        """Duplicates that the source files under two patients."""
        return tuple(pair for pair in self.duplicates.pairs if pair.two_ids)

    @property
    def one_patient(self) -> tuple[tuple[str, ...], ...]:
        """The patient ids that are one patient, where there are several."""
        members: dict[str, list[str]] = {}
        for patient, group in self.groups.items():
            members.setdefault(group, []).append(patient)
        return tuple(tuple(ids) for ids in members.values() if len(ids) > 1)

    @property
    def conflicts(self) -> tuple[Pair, ...]:
        """Duplicates that are labelled positive here and negative there."""
        return tuple(pair for pair in self.duplicates.pairs if pair.conflict)


def examine(cohort: Cohort, cache: ImageCache, progress: Callable[[int, int], None] | None = None) -> Integrity:
    """Looks at every readable image of a cohort.

    Args:
        cohort: as its source lists it.
        cache: of its images.
        progress: told how far the search for duplicates is: (done, of how many).
    """
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    duplicates = find_duplicates(cohort.table, cache.pixels, cache.index, sha256, progress)
    groups = merge_groups(cohort.table, duplicates.pairs)
    return Integrity(
        absent={image: cohort.missing[image] for image in cohort.images if image in cohort.missing},
        unreadable={
            image: cache.missing[image]
            for image in cohort.images
            if image in cache.missing and image not in cohort.missing
        },
        duplicates=duplicates,
        groups=groups,
        associations=associations(cohort.table, cache.facts, groups),
    )


# The sentences of a data check: faults, and what to know before training.

MOST = 3  # pairs that a sentence names


def fault_sentences(found: Integrity) -> list[str]:
    """What is plainly wrong with the files and labels."""
    faults = []
    if found.absent:
        faults.append(f"{many(len(found.absent), 'listed image')} without a file: {some(found.absent)}")
    if found.unreadable:
        faults.append(f"{many(len(found.unreadable), 'file')} rejected: {some(found.unreadable)}")
    for pair in found.conflicts[:MOST]:
        faults.append(f"one image, positive here and negative there: {pair.images[0]} and {pair.images[1]}")
    more = len(found.conflicts) - MOST
    if more > 0:
        faults.append(f"{many(more, 'more pair')} of one image with two labels: --json has them all")
    return faults


def warning_sentences(
    table: pd.DataFrame,
    found: Integrity,
    splits: Sequence[Split],
    sides: Sequence[SetCounts],
    merged: bool,
) -> list[str]:
    """What to know before training.

    Args:
        table: the cohort's.
        found: by `integrity.examine`.
        splits: the study's; empty where none can be drawn.
        sides: theirs, from `leaks.side_counts`.
        merged: whether the split keeps patients who share an image together.
    """
    unknown = patients_warning(table)
    lines = [unknown] if unknown else []
    for split, side in zip(splits, sides, strict=True):
        fold = f"fold {split.fold}: " if len(splits) > 1 else ""
        warning = split_warning(table, split)
        if warning:
            lines.append(fold + warning)
        hidden = side.leaking_images - len(leak(table, split).images)
        if hidden:
            lines.append(f"{fold}{hidden} more validation images are of training patients under another id")
    if found.two_ids:
        names = first_few([" = ".join(ids) for ids in found.one_patient], MOST, "; --json has them all")
        lines.append(
            f"{many(len(found.two_ids), 'pair')} of images are one exposure under two patient ids ({names}); "
            + (
                "the split keeps each such patient on one side"
                if merged and splits
                else "the split takes them for two patients"
            )
        )
    same = len(found.duplicates.pairs) - len(found.two_ids)
    if same:
        lines.append(f"{many(same, 'pair')} of images of one patient are the same exposure: they count double")
    skipped = found.duplicates.shortlisted - found.duplicates.compared
    if skipped:
        lines.append(f"{many(skipped, 'pair')} of images with near hashes not compared: duplicates may remain")
    telling = [f"{one.column} {one.auc:.2f}" for one in found.associations if one.auc >= PREDICTIVE]
    if telling:
        lines.append(
            f"metadata alone tell the label (AUC across patients: {', '.join(telling)}): a network may learn what goes "
            "with them"
        )
    unlabelled = int(table["label"].isna().sum())
    if unlabelled:
        lines.append(f"{many(unlabelled, 'image')} without a label: on neither side")
    return lines


def some(reasons: dict[str, str], most: int = 5) -> str:
    """The first few, each with its reason."""
    return first_few([f"{image} ({reason})" for image, reason in reasons.items()], most)


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
    sides: tuple[SetCounts, ...]
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
    sides = tuple(set_counts(known.table, split, found.groups) for split in splits)
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
