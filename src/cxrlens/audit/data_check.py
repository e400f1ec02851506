"""The data check: what to know about a cohort before training. It counts, examines the images and draws the split."""

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
from cxrlens.data.duplicates import Duplicates, Pair, find_duplicates
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

# Integrity: missing and unreadable files, duplicates, patients under several ids, and labels predictable from metadata.

__all__ = ["Duplicates", "Integrity", "Pair", "examine"]


@dataclass(frozen=True)
class Integrity:
    """Result of examining the images of a cohort.

    Attributes:
        absent: image → why the source has no file for it.
        unreadable: image → why its file was rejected.
        duplicates: duplicated images.
        associations: how well each column alone predicts the label, the best first.
    """

    absent: dict[str, str]
    unreadable: dict[str, str]
    duplicates: Duplicates
    associations: tuple[Association, ...]

    @property
    def groups(self) -> dict[str, str]:
        """Patient → group, see `Duplicates`."""
        return self.duplicates.groups

    @property
    def two_ids(self) -> tuple[Pair, ...]:
        """Duplicates under two patient ids."""
        return tuple(pair for pair in self.duplicates.pairs if pair.two_ids)

    @property
    def one_patient(self) -> tuple[tuple[str, ...], ...]:
        """The groups of patient ids that belong to one patient."""
        members: dict[str, list[str]] = {}
        for patient, group in self.groups.items():
            members.setdefault(group, []).append(patient)
        return tuple(tuple(ids) for ids in members.values() if len(ids) > 1)

    @property
    def conflicts(self) -> tuple[Pair, ...]:
        """Duplicates of which one image is labelled positive and the other negative."""
        return tuple(pair for pair in self.duplicates.pairs if pair.conflict)


def examine(cohort: Cohort, cache: ImageCache, progress: Callable[[int, int], None] | None = None) -> Integrity:
    """Examines all readable images of a cohort.

    Args:
        cohort: cohort as its source lists it.
        cache: decoded images of the cohort.
        progress: called with (done, in all) during the search for duplicates.
    """
    duplicates = find_duplicates(cohort.table, cache, progress)
    return Integrity(
        absent={image: cohort.missing[image] for image in cohort.images if image in cohort.missing},
        unreadable={
            image: cache.missing[image]
            for image in cohort.images
            if image in cache.missing and image not in cohort.missing
        },
        duplicates=duplicates,
        associations=associations(cohort.table, cache.facts, duplicates.groups),
    )


# The sentences of a data check: faults, and what to know before training.

MOST_PAIRS = 3  # pairs that a sentence names at most


def fault_sentences(integrity: Integrity) -> list[str]:
    """Sentences on plain errors of the files and labels."""
    faults = []
    if integrity.absent:
        faults.append(f"{many(len(integrity.absent), 'listed image')} without a file: {with_reasons(integrity.absent)}")
    if integrity.unreadable:
        faults.append(f"{many(len(integrity.unreadable), 'file')} rejected: {with_reasons(integrity.unreadable)}")
    for pair in integrity.conflicts[:MOST_PAIRS]:
        faults.append(f"two labels for one image: {pair.images[0]} and {pair.images[1]}, one positive and one negative")
    more = len(integrity.conflicts) - MOST_PAIRS
    if more > 0:
        faults.append(f"{many(more, 'more pair')} with conflicting labels; --json has them all")
    return faults


def warning_sentences(
    table: pd.DataFrame,
    integrity: Integrity,
    splits: Sequence[Split],
    counts: Sequence[SetCounts],
    merged: bool,
) -> list[str]:
    """Sentences on what to know before training.

    Args:
        table: cohort table.
        integrity: result of `examine`.
        splits: splits of the study; empty where none can be drawn.
        counts: counts of each split, from `set_counts`.
        merged: whether the split keeps patients who share an image together.
    """
    unknown = patients_warning(table)
    sentences = [unknown] if unknown else []
    for split, count in zip(splits, counts, strict=True):
        fold = f"fold {split.fold}: " if len(splits) > 1 else ""
        warning = split_warning(table, split)
        if warning:
            sentences.append(fold + warning)
        hidden = count.leaking_images - len(leak(table, split).images)
        if hidden:
            sentences.append(f"{fold}{hidden} more validation images are of training patients with another id")
    if integrity.two_ids:
        names = first_few([" = ".join(ids) for ids in integrity.one_patient], MOST_PAIRS, "; --json has them all")
        sentences.append(
            f"{many(len(integrity.two_ids), 'pair')} of images are one exposure under two patient ids ({names}); "
            + (
                "the split keeps each such patient in one set"
                if merged and splits
                else "the split treats them as two patients"
            )
        )
    same = len(integrity.duplicates.pairs) - len(integrity.two_ids)
    if same:
        sentences.append(f"{many(same, 'pair')} of images of one patient are the same exposure and count twice")
    skipped = integrity.duplicates.shortlisted - integrity.duplicates.compared
    if skipped:
        sentences.append(
            f"{many(skipped, 'pair', 'were')} not compared although their hashes are similar: duplicates may remain"
        )
    predictive = [f"{item.column} {item.auc:.2f}" for item in integrity.associations if item.auc >= PREDICTIVE]
    if predictive:
        sentences.append(
            f"the label can be predicted from metadata alone (AUC across patients: {', '.join(predictive)}): a network "
            "may learn what correlates with them"
        )
    unlabelled = int(table["label"].isna().sum())
    if unlabelled:
        sentences.append(
            f"{many(unlabelled, 'image', 'have')} no label and {'is' if unlabelled == 1 else 'are'} in no set"
        )
    return sentences


def with_reasons(reasons: dict[str, str], most: int = 5) -> str:
    """The first few images, each with its reason in brackets."""
    return first_few([f"{image} ({reason})" for image, reason in reasons.items()], most)


Counts = dict[str, dict[str, int]]
UNKNOWN = "unknown"
SIGNS = {1.0: "positive", 0.0: "negative"}


@dataclass(frozen=True)
class CheckReport:
    """A cohort's counts, faults and warnings; all counts are of the listed rows.

    Attributes:
        name: name of the data source.
        cohort: key `cohort` of `results.json`.
        unlabelled: number of listed rows without a label.
        counts: column (`view`, `source`, `sex`, `age`) → value → number of positive, negative and unlabelled images.
        images_a_patient: number of images → number of patients with so many images.
        split: kind of the split.
        splits: splits of the study; empty where none can be drawn.
        sides: counts of each split; empty where none can be drawn.
        left_out: reason → number of rows of the source that are left out.
        origins: reason → its origin, if this is not an option of the study.
        unlisted: image files that no row names.
        other_files: files beside the images that are not images by their name.
        integrity: missing and unreadable files, duplicates, and labels predictable from metadata.
        merged: patient → the patient that it counts as; empty where the split merges no patients.
        warnings: sentences to read before training.
        notes: sentences for the data check only.
        reading_notes: sentences on the depth of files, where all agree.
        faults: sentences on plain errors: missing and unreadable files, conflicting labels, a split that cannot be
            drawn or has a validation set that is too small.
        depth: bits of most image files of more than 8 bits; None where no depth has a majority.
        steps: steps of reading the images, by kind: warnings, then conversions.
        findings: results of the audit before training, as plain values; () until the audit is made.
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
        """The report as a JSON object; unknown numbers are null."""
        return json.dumps(self.plain(), indent=2, ensure_ascii=False, allow_nan=False)

    def plain(self) -> dict[str, Any]:
        """The complete report as plain values."""
        integrity = self.integrity
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
            "absent": _reason_rows(integrity.absent),
            "unreadable": _reason_rows(integrity.unreadable),
            "duplicates": [_pair(pair) for pair in integrity.duplicates.pairs],
            "duplicates_shortlisted": integrity.duplicates.shortlisted,
            "duplicates_compared": integrity.duplicates.compared,
            "one_patient_under_ids": integrity.one_patient,
            "label_from_column": [asdict(item) for item in integrity.associations],
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
    """Counts a cohort, examines its images and draws the split of the study.

    Args:
        cohort: cohort as its source lists it.
        options: options of the split.
        cache: decoded images of the cohort.
        progress: called with (done, in all) during the search for duplicates.
    """
    integrity = examine(cohort, cache, progress)
    readable = cohort.with_missing(cache.missing)
    merged = integrity.groups if options.merges else {}
    splits: tuple[Split, ...] = ()
    faults = [*cohort.faults, *fault_sentences(integrity)]
    try:
        splits = make_splits(readable, options, integrity.groups)
        check_interval(readable.table, splits, merged)
    except UserError as error:
        faults.append(str(error))
    sides = tuple(set_counts(readable.table, split, integrity.groups) for split in splits)
    return CheckReport(
        name=cohort.name,
        cohort=cohort_summary(readable, splits),
        unlabelled=int(cohort.table["label"].isna().sum()),
        counts=count_labels(cohort.table),
        images_a_patient=dict(sorted(Counter(Counter(cohort.table["patient"].tolist()).values()).items())),
        split=options.kind,
        splits=splits,
        sides=sides,
        left_out=cohort.left_out,
        unlisted=cohort.unlisted,
        other_files=cohort.other_files,
        integrity=integrity,
        merged=merged,
        warnings=(
            *(sentence for sentence in cohort.warnings if sentence not in cohort.faults),
            *warning_sentences(readable.table, integrity, splits, sides, merged=options.merges),
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
    """Counts labels by view, source, sex and age: column → value → number of positive, negative, unlabelled images.

    The most frequent values come first; ages are in order.

    Args:
        table: cohort table.
    """
    signs = [SIGNS.get(label, "unlabelled") for label in table["label"].tolist()]
    columns = {name: [value or UNKNOWN for value in table[name].tolist()] for name in ("view", "source", "sex")}
    columns["age"] = [age_band(age) for age in table["age"].tolist()]
    counts: dict[str, Counts] = {}
    for name, values in columns.items():
        pairs = Counter(zip(values, signs, strict=True))
        by_frequency = [value for value, _ in Counter(values).most_common()]
        order = [band for band in (*AGE_BANDS, UNKNOWN) if band in by_frequency] if name == "age" else by_frequency
        counts[name] = {
            value: {sign: pairs[value, sign] for sign in ("positive", "negative", "unlabelled")} for value in order
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


def _reason_rows(reasons: dict[str, str]) -> list[dict[str, str]]:
    return [{"image": image, "reason": reason} for image, reason in reasons.items()]
