"""Predictions as arrays: the images once, and for each model its trained networks (one for each seed and fold)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import no_auc_reason
from cxrlens.evaluate.calibration import Rate, choose_threshold, rate
from cxrlens.evaluate.influence import MIN_TRAININGS, Influence, mean_influence, placements
from cxrlens.text import first_few

COLUMNS = ("model", "seed", "fold", "image", "patient", "label", "probability", "logit")


@dataclass(frozen=True)
class Network:
    """One trained network on its validation images.

    Attributes:
        seed: seed of its training.
        fold: fold that it was not trained on.
        rows: positions of its images in `Validation.images`, int [m].
        logits: logits of its images, finite, [m].
        probabilities: probabilities of its images, in [0, 1], [m].
        threshold: threshold on the logit, chosen on its training images; NaN without training predictions.
    """

    seed: int
    fold: int
    rows: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    threshold: float = np.nan


@dataclass(frozen=True)
class Validation:
    """Validation images with a known label, and every model's predictions of them.

    Attributes:
        images: names of the images, [n].
        patients: patient of each image, [n].
        labels: whether each image is positive, bool [n].
        models: name → the model's networks.
        unlabelled: number of images left out because their label is unknown.
    """

    images: np.ndarray
    patients: np.ndarray
    labels: np.ndarray
    models: dict[str, tuple[Network, ...]]
    unlabelled: int = 0

    @cached_property
    def patient_numbers(self) -> tuple[np.ndarray, int]:
        """The patient of each image as a number from 0, int [n], and the number of patients."""
        names, of_image = np.unique(self.patients.astype(str), return_inverse=True)
        return of_image, len(names)


def read_predictions(
    predictions: pd.DataFrame, training: pd.DataFrame | None = None, model_order: Sequence[str] | None = None
) -> Validation:
    """Checks the tables and sorts them into networks; images without a label are left out and counted.

    Args:
        predictions: predictions of the validation images, with the columns `COLUMNS`.
        training: predictions of the training images with the same columns, for the thresholds; a network that has none
            gets the threshold NaN.
        model_order: names of the models in the order of the result; by default the order of first appearance.

    Raises:
        UserError: a column is absent, a logit is not finite, an image has two labels or patients, is predicted twice by
            one network, or was predicted by some models or seeds only.
    """
    known = _checked(predictions, "predictions")
    unlabelled = int(predictions.loc[predictions["label"].isna(), "image"].nunique())
    if known.empty:
        raise UserError("evaluation needs predictions of labelled images; got none")
    facts = known.drop_duplicates(["image", "patient", "label"])
    twice = facts["image"][facts["image"].duplicated()]
    if len(twice):
        raise UserError(f"an image has one patient and one label; '{twice.iloc[0]}' has several in the predictions")
    images = np.asarray(facts["image"].tolist(), dtype=object)
    row_of = {image: row for row, image in enumerate(images)}
    thresholds = _thresholds(training)
    models: dict[str, list[Network]] = {}
    for key, part in known.groupby(["model", "seed", "fold"], sort=True):
        name, seed, fold = str(part["model"].iloc[0]), int(part["seed"].iloc[0]), int(part["fold"].iloc[0])
        if part["image"].duplicated().any():
            image = part["image"][part["image"].duplicated()].iloc[0]
            raise UserError(
                f"model '{name}', seed {seed}, fold {fold} predicts '{image}' twice; give one prediction an image"
            )
        logits, probabilities = np.asarray(part["logit"], dtype=float), np.asarray(part["probability"], dtype=float)
        rows = np.array([row_of[image] for image in part["image"]])
        threshold = thresholds.get(key, np.nan)
        models.setdefault(name, []).append(Network(seed, fold, rows, logits, probabilities, threshold))
    for name, networks in models.items():
        _check_complete(name, networks, images)
    order = list(model_order) if model_order is not None else known["model"].astype(str).unique().tolist()
    absent = [name for name in order if name not in models]
    if absent:
        raise UserError(
            f"no predictions of the model {', '.join(absent)}; there are predictions of {', '.join(models)}"
        )
    labels = np.asarray(facts["label"], dtype=float) == 1
    return Validation(
        images,
        np.asarray(facts["patient"].tolist(), dtype=str),
        labels,
        {k: tuple(models[k]) for k in order},
        unlabelled,
    )


def _checked(table: pd.DataFrame, title: str) -> pd.DataFrame:
    absent = [name for name in COLUMNS if name not in table]
    if absent:
        raise UserError(f"the {title} need the columns {', '.join(COLUMNS)}; absent: {', '.join(absent)}")
    known = table[table["label"].notna()]
    if not known["label"].isin([0, 1]).all():
        raise UserError(
            f"labels are 1, 0 or NaN; the {title} hold {known.loc[~known['label'].isin([0, 1]), 'label'].iloc[0]}"
        )
    bad = known[~np.isfinite(known[["logit", "probability"]].to_numpy(dtype=float)).all(axis=1)]
    if len(bad):
        first = bad.iloc[0]
        raise UserError(
            f"every prediction must be a finite number; {len(bad)} of the {title} are not, such as "
            f"'{first['image']}' by model '{first['model']}', seed {first['seed']}: did its training diverge?"
        )
    return known


def _thresholds(training: pd.DataFrame | None) -> dict[object, float]:
    """(model, seed, fold) → threshold; training images of one class only give none."""
    if training is None or training.empty:
        return {}
    networks = _checked(training, "training predictions").groupby(["model", "seed", "fold"])
    return {key: choose_threshold(t["label"], t["logit"]) for key, t in networks if t["label"].nunique() == 2}


def _check_complete(name: str, networks: list[Network], images: np.ndarray) -> None:
    for seed in sorted({network.seed for network in networks}):
        predicted = np.unique(np.concatenate([network.rows for network in networks if network.seed == seed]))
        absent = np.delete(images, predicted)
        if len(absent):
            raise UserError(
                f"models are compared on the same images; model '{name}', seed {seed} has no prediction of "
                f"{len(absent)} of {len(images)}: {first_few([*map(str, absent)], 5)}"
            )


def restricted(networks: Sequence[Network], selected: np.ndarray) -> tuple[Network, ...]:
    """The networks on the selected images alone (bool [n]); a network without any is left out."""
    masks = [(network, selected[network.rows]) for network in networks]
    return tuple(
        replace(net, rows=net.rows[mask], logits=net.logits[mask], probabilities=net.probabilities[mask])
        for net, mask in masks
        if mask.any()
    )


def model_influence(networks: Sequence[Network], data: Validation) -> Influence:
    """A model's AUC and each patient's influence on it: the mean over seeds of the mean over folds, weighted by pairs.

    Logits of different networks are not comparable, so pairs are formed within a network only. The trainings are the
    seeds; with fewer than 3 seeds, they are the folds that hold both classes.
    """
    seeds = sorted({net.seed for net in networks})
    patient_numbers, count = data.patient_numbers
    of_seeds = [one for seed in seeds if (one := _of_seed(networks, seed, data)) is not None]
    overall = mean_influence(of_seeds)
    folds = sorted({net.fold for net in networks})
    if len(seeds) >= MIN_TRAININGS or len(folds) < MIN_TRAININGS:
        return overall
    of_folds = [_with_both_classes(data.labels, [net for net in networks if net.fold == fold]) for fold in folds]
    fold_aucs = [
        mean_influence(
            [placements(data.labels[n.rows], n.logits, patient_numbers[n.rows], count) for n in of_fold]
        ).value
        for of_fold in of_folds
        if of_fold
    ]
    sizes = np.array([np.mean([len(net.rows) for net in networks if net.fold == fold]) for fold in folds])
    return replace(overall, trainings=tuple(fold_aucs), overlap=float(np.mean(sizes / (sizes.sum() - sizes))))


def _with_both_classes(labels: np.ndarray, networks: Sequence[Network]) -> list[Network]:
    """The networks that have images of both classes."""
    return [net for net in networks if labels[net.rows].any() and not labels[net.rows].all()]


def seed_aucs(networks: Sequence[Network], data: Validation) -> dict[int, float]:
    """Seed → its AUC, the mean over its folds weighted by pairs; NaN where no fold holds both classes."""
    influences = {seed: _of_seed(networks, seed, data) for seed in sorted({net.seed for net in networks})}
    return {seed: np.nan if influence is None else influence.value for seed, influence in influences.items()}


def _of_seed(networks: Sequence[Network], seed: int, data: Validation) -> Influence | None:
    """One seed's AUC over its folds; None where no fold holds both classes."""
    of_seed, (patient_numbers, count) = [net for net in networks if net.seed == seed], data.patient_numbers
    if not _with_both_classes(data.labels, of_seed):
        return None
    rows = np.concatenate([net.rows for net in of_seed])
    logits = np.concatenate([net.logits for net in of_seed])
    folds = np.concatenate([np.full(len(net.rows), net.fold) for net in of_seed])
    return placements(data.labels[rows], logits, patient_numbers[rows], count, folds)


def networks_no_auc_reason(networks: Sequence[Network], labels: np.ndarray) -> str:
    """The reason why a model's images give no meaningful AUC, "" where they give one."""
    if not networks:
        return no_auc_reason(np.array([], dtype=bool))
    rows = np.unique(np.concatenate([net.rows for net in networks]))
    return no_auc_reason(labels[rows]) or (
        "" if _with_both_classes(labels, networks) else "no fold holds images of both classes"
    )


def rates(networks: Sequence[Network], data: Validation, level: float = 0.95) -> tuple[Rate, Rate]:
    """Sensitivity and specificity, each network at its own threshold, mean over seeds; NaN without a threshold."""
    count = len(data.labels)
    right, networks_of_image = np.zeros(count), np.zeros(count)
    for net in networks:
        predicted = np.where(np.isnan(net.threshold), np.nan, net.logits >= net.threshold)
        right[net.rows] += np.where(np.isnan(predicted), np.nan, predicted == data.labels[net.rows])
        networks_of_image[net.rows] += 1
    of_classes = []
    for of_class in (data.labels, ~data.labels):
        rows = np.flatnonzero(of_class & (networks_of_image > 0))
        share = right[rows] / networks_of_image[rows]
        if np.isnan(share).any():
            of_classes.append(Rate(np.nan, np.nan, np.nan, np.nan, np.nan, len(rows)))
        else:
            of_classes.append(rate(share, data.patient_numbers[0][rows], level))
    return of_classes[0], of_classes[1]
