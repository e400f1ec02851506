"""Splits a cohort into training and validation sets: by patient (the default), in k folds by patient, or by image.

The sets are drawn from all labelled rows that the source lists; images without a readable file are left out afterwards.
So a missing file moves no other image, and the split of the paper (West et al. 2020: scikit-learn's `train_test_split`
with `test_size=.33, random_state=42` on the rows in file order) is drawn exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from sklearn.model_selection import train_test_split

from cxrlens.config import Config
from cxrlens.data.cohort import Cohort, known_patients
from cxrlens.data.grouping import group_labels, grouped_folds, grouped_share
from cxrlens.errors import UserError

# Leaks: patients with images in both sets. A split with a leak is refused unless the study asks for it by name.


@dataclass(frozen=True)
class Leak:
    """The listed validation images of patients who are also in the training set.

    Attributes:
        images: validation images whose patient (or group of patients) is in the training set, in file order.
        patients: patients of those images, in order of appearance.
        validation: number of all listed validation images.
    """

    images: tuple[str, ...]
    patients: tuple[str, ...]
    validation: int

    def __bool__(self) -> bool:
        return bool(self.images)


@dataclass(frozen=True)
class SetCounts:
    """Counts of the usable images of a split.

    Attributes:
        fold: number of the fold, from 0.
        train_positive: number of positive training images.
        train_negative: number of negative training images.
        validation_positive: number of positive validation images.
        validation_negative: number of negative validation images.
        leaking_images: number of listed validation images whose patient is in the training set, with the patients of a
            group counted as one.
        leaking_patients: number of patients of those images.
    """

    fold: int
    train_positive: int
    train_negative: int
    validation_positive: int
    validation_negative: int
    leaking_images: int
    leaking_patients: int


def leak(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> Leak:
    """Finds the validation images of patients who are also in the training set.

    Args:
        table: cohort table.
        split: training and validation set.
        groups: patient → group, for patients with several ids; a patient who is not listed is a group of its own.
    """
    patient = dict(zip(table["image"], table["patient"], strict=True))
    group = {name: (groups or {}).get(name, name) for name in table["patient"]}
    trained = {group[patient[image]] for image in split.listed_train}
    images = tuple(image for image in split.listed_validation if group[patient[image]] in trained)
    return Leak(images, tuple(dict.fromkeys(patient[image] for image in images)), len(split.listed_validation))


def set_counts(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> SetCounts:
    """Counts the usable images of a split, and its leaks.

    Args:
        table: cohort table.
        split: training and validation set.
        groups: patient → group, as for `leak`.
    """
    label = dict(zip(table["image"], table["label"], strict=True))
    train, validation = ([label[name] for name in images] for images in (split.train, split.validation))
    shared = leak(table, split, groups)
    return SetCounts(
        fold=split.fold,
        train_positive=train.count(1.0),
        train_negative=train.count(0.0),
        validation_positive=validation.count(1.0),
        validation_negative=validation.count(0.0),
        leaking_images=len(shared.images),
        leaking_patients=len(shared.patients),
    )


def split_warning(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> str | None:
    """The warning that accompanies all results of a split with a leak; None for a split without one.

    Args:
        table: cohort table.
        split: training and validation set.
        groups: patient → group, as for `leak`.
    """
    shared = leak(table, split, groups)
    if not shared:
        return None
    return (
        f"{len(shared.images)} of {shared.validation} validation images are of patients "
        f"({len(shared.patients)} of them) who are also in training: what is measured on them flatters the models"
    )


def patients_warning(table: pd.DataFrame) -> str | None:
    """The warning on images whose patient is unknown; None where the source names all patients.

    Args:
        table: cohort table.

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
    """Refuses a split with a leak, unless its kind is `paper`.

    Args:
        table: cohort table.
        split: training and validation set.
        groups: patient → group, as for `leak`.

    Raises:
        UserError: patients are in both sets and the kind is not `paper`.
    """
    warning = split_warning(table, split, groups)
    if warning and split.kind != "paper":
        raise UserError(
            f"the split (kind '{split.kind}', fold {split.fold}) is refused: {warning}. Split by patient, or "
            "ask for the split by image under [split]: kind = 'paper'"
        )


def cohort_summary(cohort: Cohort, splits: Sequence[Split]) -> dict[str, object]:
    """The key `cohort` of `results.json`: counts of the listed rows, and the images without a readable file.

    Args:
        cohort: cohort with all images that are known to be missing.
        splits: splits of the study. With several folds the counts are those of fold 0, and `folds` is their number.
            Without a split the counts of the two sets are None.
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


__all__ = [
    "Kind",
    "Leak",
    "Split",
    "SplitOptions",
    "check_interval",
    "check_sets",
    "cohort_summary",
    "inner_folds",
    "leak",
    "make_splits",
    "refuse_leaks",
    "split_warning",
]

LEAST = 2  # images, and patients, of each class in a validation set
Kind = Literal["patient", "patient-kfold", "paper"]


class SplitOptions(Config):
    """Options of a study's `[split]`.

    Attributes:
        kind: `patient` (no patient in both sets, equal prevalence in both), `patient-kfold` (`folds` such splits, each
            image in one validation set) or `paper` (by image, so that patients are in both sets).
        validation: share of the images in the validation set; not used by `patient-kfold`.
        folds: number of folds of `patient-kfold`.
        seed: seed of the draw.
        merge_duplicates: whether patients who share a duplicated image count as one.
    """

    kind: Kind = "patient"
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.33
    folds: Annotated[int, Field(ge=2)] = 5
    seed: Annotated[int, Field(ge=0)] = 42
    merge_duplicates: bool = True

    @property
    def merges(self) -> bool:
        """Whether patients who share a duplicated image count as one; never with the kind `paper`."""
        return self.merge_duplicates and self.kind != "paper"


@dataclass(frozen=True)
class Split:
    """A training set and a validation set, as image names in file order.

    Attributes:
        kind: kind of the split, see `SplitOptions`.
        fold: number of the fold, from 0.
        train: training images with a label and, as far as is known, a readable file.
        validation: validation images with a label and, as far as is known, a readable file.
        listed_train: training images as drawn, including those without a readable file.
        listed_validation: validation images as drawn, including those without a readable file.
    """

    kind: Kind
    fold: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    listed_train: tuple[str, ...]
    listed_validation: tuple[str, ...]

    def without(self, images: Iterable[str]) -> Split:
        """The same split without some images that cannot be used.

        Args:
            images: names of the images to leave out.
        """
        unusable = set(images)
        return Split(
            self.kind,
            self.fold,
            tuple(name for name in self.train if name not in unusable),
            tuple(name for name in self.validation if name not in unusable),
            self.listed_train,
            self.listed_validation,
        )


def make_splits(cohort: Cohort, options: SplitOptions, groups: Mapping[str, str] | None = None) -> tuple[Split, ...]:
    """Draws the splits of a study.

    Args:
        cohort: cohort to split; rows without a label are in no set.
        options: options of the split.
        groups: patient → group, from `merge_groups`; the patients of a group stay in one set.

    Returns:
        One split, or one for each fold.

    Raises:
        UserError: the cohort has only one class, a class has fewer patients than the split needs, or a set lacks a
            class.
    """
    table = cohort.table[cohort.table["label"].notna()].reset_index(drop=True)
    if not options.merge_duplicates:
        groups = None
    splits = _draw(table, options, groups)
    splits = tuple(split.without(cohort.missing) for split in splits)
    for split in splits:
        check_sets(table, split)
        refuse_leaks(table, split, groups)
    return splits


def inner_folds(
    table: pd.DataFrame,
    images: Iterable[str],
    folds: int,
    seed: int,
    groups: Mapping[str, str] | None = None,
) -> tuple[Split, ...]:
    """Draws folds by patient within a training set, for choices that must not use the validation set.

    Args:
        table: cohort table.
        images: training images; the folds contain no others.
        folds: number of folds.
        seed: seed of the draw.
        groups: patient → group, as for `make_splits`.

    Raises:
        UserError: a class has fewer than `folds` patients.
    """
    chosen = set(images)
    rows = table[table["image"].isin(list(chosen)) & table["label"].notna()].reset_index(drop=True)
    options = SplitOptions(kind="patient-kfold", folds=folds, seed=seed)
    splits = _draw(rows, options, groups)
    for split in splits:
        check_sets(rows, split)
    return splits


def check_sets(table: pd.DataFrame, split: Split) -> None:
    """Checks that the training set and the validation set have images of both classes.

    Args:
        table: cohort table.
        split: training and validation set.

    Raises:
        UserError: a set lacks a class; the message states the counts.
    """
    label = dict(zip(table["image"], table["label"], strict=True))
    for set_name, images in (("training", split.train), ("validation", split.validation)):
        positive = sum(label[name] == 1 for name in images)
        if positive in (0, len(images)):
            raise UserError(
                f"the {set_name} set (kind '{split.kind}', fold {split.fold}) needs readable images of both classes; "
                f"got {positive} positive and {len(images) - positive} negative: change validation, folds or seed "
                "under [split] in the study file, or add images"
            )


def check_interval(table: pd.DataFrame, splits: Sequence[Split], groups: Mapping[str, str] | None = None) -> None:
    """Checks that each validation set is large enough for a meaningful AUC.

    Each validation set needs 2 images of each class, of 2 patients. An interval needs 5 patients of each class over all
    folds; a study with fewer gets a warning, not an error (`pipeline.prepare.interval_warning`).

    Args:
        table: cohort table.
        splits: splits of the study.
        groups: patient → group, as for `leak`.

    Raises:
        UserError: a validation set is too small; the message states the counts of the first such set, and in how many
            folds this is so.
    """
    rows = table.set_index("image")
    label, patient = rows["label"].to_dict(), rows["patient"].to_dict()
    short = []
    for split in splits:
        counts = []
        for sign in (1, 0):
            images = [name for name in split.validation if label[name] == sign]
            counts.append((len(images), len({(groups or {}).get(patient[name], patient[name]) for name in images})))
        if min(min(count) for count in counts) < LEAST:
            short.append((split, counts))
    if not short:
        return
    split, ((positive, with_positive), (negative, with_negative)) = short[0]
    fold = f", fold {split.fold}" if len(splits) > 1 else ""
    more = f"; too few in {len(short)} of {len(splits)} folds" if len(short) > 1 else ""
    sign, word = (1, "positive") if (with_positive, positive) <= (with_negative, negative) else (0, "negative")
    usable = [name for name in (*split.train, *split.validation) if label[name] == sign]
    count = len({(groups or {}).get(patient[name], patient[name]) for name in usable})
    raise UserError(
        f"too few validation images (kind '{split.kind}'{fold}): {positive} positive ({_patients(with_positive)}), "
        f"{negative} negative ({_patients(with_negative)}){more}; an AUC needs {LEAST} readable "
        f"images of each class, of {LEAST} patients. The study has {count} {word} "
        f"{_patients(count).split()[1]} in all: {_more_to_validate(split.kind, count, len(splits))}"
        f"add images of other {word} patients"
    )


def _more_to_validate(kind: Kind, patients: int, folds: int) -> str:
    """How to change `[split]` so that `LEAST` patients of a class are in the validation set and one is in training."""
    if patients <= LEAST:
        return "these are too few for training and validation; "
    share = f"validation = {math.ceil(10 * LEAST / patients) / 10:g}"
    if kind != "patient-kfold":
        by_draw = ", another seed" if kind == "paper" else ""
        return f"write {share} (or more) under [split] in the study file{by_draw}, or "
    fewer = min(patients // LEAST, folds - 1)
    change = f"folds = {fewer}" if fewer > 1 else f'kind = "patient" and {share}'
    return f"write {change} under [split] in the study file, or "


def _patients(count: int) -> str:
    return f"{count} patient" + ("" if count == 1 else "s")


def _draw(table: pd.DataFrame, options: SplitOptions, groups: Mapping[str, str] | None) -> tuple[Split, ...]:
    _check_classes(table)
    if options.kind == "paper":
        return (_paper(table, options),)
    group, patients_of_class = group_labels(table, groups)
    needed = options.folds if options.kind == "patient-kfold" else 2
    if min(patients_of_class.values()) < needed:
        raise UserError(
            f"a split by patient (kind '{options.kind}') needs at least {needed} patients with positive images and "
            f"{needed} with negative ones; got {patients_of_class[1]} and {patients_of_class[0]}: "
            + ("write fewer folds under [split] in the study file, or " if needed > 2 else "")
            + "add images of other patients"
        )
    label = table["label"].to_numpy(dtype=float)
    rng = np.random.default_rng(options.seed)
    if options.kind == "patient":
        validation_sets = [grouped_share(group, label, options.validation, rng)]
    else:
        validation_sets = grouped_folds(group, label, options.folds, rng)
    return tuple(_split(options.kind, fold, table, validation) for fold, validation in enumerate(validation_sets))


def _paper(table: pd.DataFrame, options: SplitOptions) -> Split:
    _, chosen = train_test_split(np.arange(len(table)), test_size=options.validation, random_state=options.seed)
    validation = np.zeros(len(table), dtype=bool)
    validation[chosen] = True
    return _split("paper", 0, table, validation)


def _split(kind: Kind, fold: int, table: pd.DataFrame, validation: np.ndarray) -> Split:
    train = tuple(table["image"][~validation])
    held_out = tuple(table["image"][validation])
    return Split(kind, fold, train, held_out, train, held_out)


def _check_classes(table: pd.DataFrame) -> None:
    positive = int((table["label"] == 1).sum())
    negative = int((table["label"] == 0).sum())
    if min(positive, negative) < 2:
        raise UserError(
            f"a split needs at least 2 images of each class; got {positive} positive and {negative} negative: check "
            "how the study maps findings to labels"
        )
