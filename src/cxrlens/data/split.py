"""Training and validation sides: by patient (the default), k-fold of the same, and the paper's draw by image.

A side is drawn on the labelled rows that the source lists; only then are images without a readable file left out of
it. So a missing file moves no other image, and the paper's draw (West et al. 2020: scikit-learn's `train_test_split`
with `test_size=.33, random_state=42` on the rows in file order) stays the paper's.
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

# Patients on both sides of a split: how many, which, and the refusal unless the study asks for it by name.


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
class SetCounts:
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


def set_counts(table: pd.DataFrame, split: Split, groups: Mapping[str, str] | None = None) -> SetCounts:
    """Counts a split's usable images, and what it leaks with patients under two ids merged."""
    label = dict(zip(table["image"], table["label"], strict=True))
    train, validation = ([label[name] for name in side] for side in (split.train, split.validation))
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

LEAST = 2  # images, and patients, of each class on a validation side
Kind = Literal["patient", "patient-kfold", "paper"]


class SplitOptions(Config):
    """The study's `[split]`.

    Attributes:
        kind: `patient` (no patient on both sides, both sides alike in prevalence), `patient-kfold` (the same, `folds`
            times, every image validated once) or `paper` (by image: it leaks, and has to be asked for by this name).
        validation: share of the images to validate on; not used by `patient-kfold`.
        folds: how many, for `patient-kfold`.
        seed: of the draw.
        merge_duplicates: whether patients who share a duplicated image count as one, where duplicates are known.
    """

    kind: Kind = "patient"
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.33
    folds: Annotated[int, Field(ge=2)] = 5
    seed: Annotated[int, Field(ge=0)] = 42
    merge_duplicates: bool = True

    @property
    def merges(self) -> bool:
        """Whether patients who share a duplicated image count as one; those of a paper's split never do."""
        return self.merge_duplicates and self.kind != "paper"


@dataclass(frozen=True)
class Split:
    """One training side and one validation side, as image names in file order.

    Attributes:
        kind: how it was drawn.
        fold: 0, or the fold's number in a k-fold.
        train: images to train on; each has a label and a readable file (as far as is known).
        validation: images to validate on, likewise.
        listed_train: the training side as drawn, images without a readable file included.
        listed_validation: the validation side as drawn.
    """

    kind: Kind
    fold: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    listed_train: tuple[str, ...]
    listed_validation: tuple[str, ...]

    def without(self, images: Iterable[str]) -> Split:
        """The same draw with more images found to be unusable."""
        out = set(images)
        return Split(
            self.kind,
            self.fold,
            tuple(name for name in self.train if name not in out),
            tuple(name for name in self.validation if name not in out),
            self.listed_train,
            self.listed_validation,
        )


def make_splits(cohort: Cohort, options: SplitOptions, groups: Mapping[str, str] | None = None) -> tuple[Split, ...]:
    """Draws the study's split: one, or one a fold.

    Args:
        cohort: the listed images; rows without a label take no part.
        options: the study's `[split]`.
        groups: patient → group, from `integrity.merge_groups`; patients of one group stay on one side.

    Raises:
        UserError: one class only, fewer patients of a class than the split needs, or a side left without a class.
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
    """Folds inside a training side, by patient, for choices that may not see the validation side.

    Args:
        table: the cohort's.
        images: the training side; nothing outside it appears in a fold.
        folds: how many.
        seed: of the draw.
        groups: patient → group, as for `make_splits`.

    Raises:
        UserError: fewer than `folds` patients of a class.
    """
    chosen = set(images)
    rows = table[table["image"].isin(list(chosen)) & table["label"].notna()].reset_index(drop=True)
    options = SplitOptions(kind="patient-kfold", folds=folds, seed=seed)
    splits = _draw(rows, options, groups)
    for split in splits:
        check_sets(rows, split)
    return splits


def check_sets(table: pd.DataFrame, split: Split) -> None:
    """Stops before training where a side lacks a class.

    Raises:
        UserError: with what each side has.
    """
    label = dict(zip(table["image"], table["label"], strict=True))
    for side, images in (("training", split.train), ("validation", split.validation)):
        positive = sum(label[name] == 1 for name in images)
        if positive in (0, len(images)):
            raise UserError(
                f"the {side} side (kind '{split.kind}', fold {split.fold}) needs readable images of both classes; got "
                f"{positive} positive and {len(images) - positive} negative: change validation, folds or seed under "
                "[split] in the study file, or add images"
            )


def check_interval(table: pd.DataFrame, splits: Sequence[Split], groups: Mapping[str, str] | None = None) -> None:
    """Stops before training where a validation side could give no AUC that says anything, in any fold.

    A network's own validation side needs 2 images of each class, of 2 patients. An interval needs 5 patients of each
    class over all folds, and a study without one is warned of, not refused (`pipeline.prepare.interval_warning`).

    Args:
        table: the cohort's.
        splits: the study's.
        groups: patient → the patient it counts as.

    Raises:
        UserError: with what the first such side has, and how many there are.
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
    more = f", and so in {len(short)} of {len(splits)} folds" if len(short) > 1 else ""
    sign, word = (1, "positive") if (with_positive, positive) <= (with_negative, negative) else (0, "negative")
    used = [name for name in (*split.train, *split.validation) if label[name] == sign]
    count = len({(groups or {}).get(patient[name], patient[name]) for name in used})
    raise UserError(
        f"too few validation images (kind '{split.kind}'{fold}): {positive} positive ({_patients(with_positive)}), "
        f"{negative} negative ({_patients(with_negative)}){more}; an AUC needs {LEAST} readable "
        f"images of each class, of {LEAST} patients. The study has {count} {word} "
        f"{_patients(count).split()[1]} in all: {_more_to_validate(split.kind, count, len(splits))}"
        f"add images of other {word} patients"
    )


def _more_to_validate(kind: Kind, patients: int, folds: int) -> str:
    """What to write so that `LEAST` of so many patients of a class are validated on and one is trained on, if any."""
    if patients <= LEAST:
        return "too few to train and to validate on; "
    share = f"validation = {math.ceil(10 * LEAST / patients) / 10:g}"
    if kind != "patient-kfold":
        by_draw = ", another seed" if kind == "paper" else ""
        return f"write {share} (or more) under [split] in the study file{by_draw}, or "
    fewer = min(patients // LEAST, folds - 1)
    todo = f"folds = {fewer}" if fewer > 1 else f'kind = "patient" and {share}'
    return f"write {todo} under [split] in the study file, or "


def _patients(count: int) -> str:
    return f"{count} patient" + ("" if count == 1 else "s")


def _draw(table: pd.DataFrame, options: SplitOptions, groups: Mapping[str, str] | None) -> tuple[Split, ...]:
    _two_classes(table)
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
        sides = [grouped_share(group, label, options.validation, rng)]
    else:
        sides = grouped_folds(group, label, options.folds, rng)
    return tuple(_split(options.kind, fold, table, validation) for fold, validation in enumerate(sides))


def _paper(table: pd.DataFrame, options: SplitOptions) -> Split:
    _, chosen = train_test_split(np.arange(len(table)), test_size=options.validation, random_state=options.seed)
    validation = np.zeros(len(table), dtype=bool)
    validation[chosen] = True
    return _split("paper", 0, table, validation)


def _split(kind: Kind, fold: int, table: pd.DataFrame, validation: np.ndarray) -> Split:
    train = tuple(table["image"][~validation])
    held_out = tuple(table["image"][validation])
    return Split(kind, fold, train, held_out, train, held_out)


def _two_classes(table: pd.DataFrame) -> None:
    positive = int((table["label"] == 1).sum())
    negative = int((table["label"] == 0).sum())
    if min(positive, negative) < 2:
        raise UserError(
            f"a split needs at least 2 images of each class; got {positive} positive and {negative} negative: see how "
            "the study maps findings to labels"
        )
