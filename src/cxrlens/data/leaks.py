"""Patients on both sides of a split: how many, which, and the refusal unless the study asks for it by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cxrlens.data.cohort import Cohort, known_patients
from cxrlens.errors import UserError

if TYPE_CHECKING:
    from cxrlens.data.split import Split


@dataclass(frozen=True)
class Leak:
    """What a split's validation side shares with its training side, of the listed rows.

    Attributes:
        images: validation images whose patient (or merged group) is also in training, in file order.
        patients: the patients of those images, in order of appearance.
        validation: how many validation images there are.
    """

    images: tuple[str, ...]
    patients: tuple[str, ...]
    validation: int

    def __bool__(self) -> bool:
        return bool(self.images)


@dataclass(frozen=True)
class SideCounts:
    """One fold of the split, in usable images.

    Attributes:
        fold: its number.
        train_positive: and so on: images.
        leaking_images: validation images whose patient is in training, merged patients counted as one.
        leaking_patients: theirs.
    """

    fold: int
    train_positive: int
    train_negative: int
    validation_positive: int
    validation_negative: int
    leaking_images: int
    leaking_patients: int


def leak(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> Leak:
    """Finds the validation images of patients who are also in training.

    Args:
        table: the cohort's.
        split: the two sides.
        groups: patient → group, where patients under two ids are known.
    """
    patient = dict(zip(table["image"], table["patient"], strict=True))
    group = {name: (groups or {}).get(name, name) for name in table["patient"]}
    trained = {group[patient[image]] for image in split.listed_train}
    images = tuple(image for image in split.listed_validation if group[patient[image]] in trained)
    return Leak(images, tuple(dict.fromkeys(patient[image] for image in images)), len(split.listed_validation))


def side_counts(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> SideCounts:
    """Counts a split's usable images, and what it leaks with patients under two ids merged."""
    label = dict(zip(table["image"], table["label"], strict=True))
    train, validation = ([label[name] for name in side] for side in (split.train, split.validation))
    shared = leak(table, split, groups)
    return SideCounts(
        fold=split.fold,
        train_positive=train.count(1.0),
        train_negative=train.count(0.0),
        validation_positive=validation.count(1.0),
        validation_negative=validation.count(0.0),
        leaking_images=len(shared.images),
        leaking_patients=len(shared.patients),
    )


def split_warning(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> str | None:
    """The sentence that goes with a leaky split wherever its results do; None where nothing leaks."""
    found = leak(table, split, groups)
    if not found:
        return None
    return (
        f"{len(found.images)} of {found.validation} validation images are of patients ({len(found.patients)} of them) "
        "who are also in training: what is measured on them flatters the models"
    )


def patients_warning(table: pd.DataFrame) -> str | None:
    """What to know where the source names no patient of some images, or of any; None where it names all.

    >>> patients_warning(pd.DataFrame({"image": ["a", "b"], "patient": ["P1", "P2"]})) is None
    True
    """
    unknown = int((~known_patients(table)).sum())
    if len(table) < 2 or not unknown:
        return None
    who = (
        "no patient is known, so every image counts as its own"
        if unknown == len(table)
        else f"the patient of {unknown} of {len(table)} images is not known, so each of these counts as its own"
    )
    return f"{who}: a patient may be on both sides of the split, and intervals may be too narrow"


def refuse_leaks(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> None:
    """Refuses a leaky split unless it is the one asked for by name.

    Raises:
        UserError: patients are on both sides and the kind is not `paper`.
    """
    warning = split_warning(table, split, groups)
    if warning and split.kind != "paper":
        raise UserError(
            f"the split (kind '{split.kind}', fold {split.fold}) is refused: {warning}. Draw it by patient, or ask for "
            "it by name: [split] kind = 'paper'"
        )


def cohort_summary(cohort: Cohort, splits: Sequence[Split]) -> dict[str, object]:
    """The `cohort` of `results.json`: counts of the listed rows, and which of them have no readable file.

    Args:
        cohort: with every image that is known to be missing.
        splits: the study's; of a k-fold the sides are fold 0's, and `folds` says how many there are. Where none could
            be drawn the four counts of the sides are None.
    """
    label = cohort.table["label"]
    first = splits[0] if splits else None
    shared = leak(cohort.table, first) if first else None
    summary: dict[str, object] = {
        "images": len(cohort.table),
        "positive": int((label == 1).sum()),
        "negative": int((label == 0).sum()),
        "patients": int(cohort.table["patient"].nunique()),
        "train": len(first.listed_train) if first else None,
        "validation": len(first.listed_validation) if first else None,
        "validation_images_of_training_patients": len(shared.images) if shared is not None else None,
        "validation_patients_in_training": len(shared.patients) if shared is not None else None,
        "missing": [
            {"image": name, "reason": cohort.missing[name]} for name in cohort.images if name in cohort.missing
        ],
    }
    if cohort.origins:
        summary["left_out_origins"] = cohort.origins
    if len(splits) > 1:
        summary["folds"] = len(splits)
    return summary
