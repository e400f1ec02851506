"""Predictions as arrays: the images once, and for each model its trained networks (a seed and a fold each)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import without_auc
from cxrlens.evaluate.calibration import Rate, choose_threshold, rate
from cxrlens.evaluate.influence import TRAININGS, Influence, mean_influence, placements
from cxrlens.text import first_few

COLUMNS = ("model", "seed", "fold", "image", "patient", "label", "probability", "logit")


@dataclass(frozen=True)
class Network:
    """One trained network on its validation images.

    Attributes:
        seed: of its training.
        fold: that it was not trained on.
        rows: its images, as positions in `Validation.images`, [m].
        logits: finite, [m].
        probabilities: in [0, 1], [m].
        threshold: on the logit, chosen on its training side; NaN without one.
    """

    seed: int
    fold: int
    rows: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    threshold: float = np.nan


@dataclass(frozen=True)
class Validation:
    """Validation images with a known label ([n] each), each model's networks, and how many images had no label."""

    images: np.ndarray
    patients: np.ndarray
    labels: np.ndarray
    models: dict[str, tuple[Network, ...]]
    unlabelled: int = 0

    @cached_property
    def who(self) -> tuple[np.ndarray, int]:
        """Each image's patient as a number from 0, [n], and how many patients there are."""
        names, of_image = np.unique(self.patients.astype(str), return_inverse=True)
        return of_image, len(names)


def read_predictions(
    predictions: pd.DataFrame, training: pd.DataFrame | None = None, model_order: Sequence[str] | None = None
) -> Validation:
    """Checks the tables and sorts them into networks; images without a label are left out and counted.

    Args:
        predictions: of validation images, with `COLUMNS`.
        training: the same of the training side, for the thresholds; a network without one gets NaN.
        model_order: names in the order wanted; by first appearance otherwise.

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
        logits, chances = np.asarray(part["logit"], dtype=float), np.asarray(part["probability"], dtype=float)
        rows = np.array([row_of[image] for image in part["image"]])
        models.setdefault(name, []).append(Network(seed, fold, rows, logits, chances, thresholds.get(key, np.nan)))
    for name, networks in models.items():
        _check_complete(name, networks, images)
    order = list(model_order) if model_order is not None else known["model"].astype(str).unique().tolist()
    absent = [name for name in order if name not in models]
    if absent:
        raise UserError(f"no predictions of the model {', '.join(absent)}; there are those of {', '.join(models)}")
    labels = np.asarray(facts["label"], dtype=float) == 1
    return Validation(
        images,
        np.asarray(facts["patient"].tolist(), dtype=str),
        labels,
        {k: tuple(models[k]) for k in order},
        unlabelled,
    )


def _checked(table: pd.DataFrame, what: str) -> pd.DataFrame:
    absent = [name for name in COLUMNS if name not in table]
    if absent:
        raise UserError(f"the {what} need the columns {', '.join(COLUMNS)}; absent: {', '.join(absent)}")
    known = table[table["label"].notna()]
    if not known["label"].isin([0, 1]).all():
        raise UserError(
            f"labels are 1, 0 or NaN; the {what} hold {known.loc[~known['label'].isin([0, 1]), 'label'].iloc[0]}"
        )
    bad = known[~np.isfinite(known[["logit", "probability"]].to_numpy(dtype=float)).all(axis=1)]
    if len(bad):
        first = bad.iloc[0]
        raise UserError(
            f"every prediction must be a finite number; {len(bad)} of the {what} are not, such as "
            f"'{first['image']}' by model '{first['model']}', seed {first['seed']}: did its training diverge?"
        )
    return known


def _thresholds(training: pd.DataFrame | None) -> dict[object, float]:
    """(model, seed, fold) → threshold; a training side of one class has none."""
    if training is None or training.empty:
        return {}
    groups = _checked(training, "training predictions").groupby(["model", "seed", "fold"])
    return {key: choose_threshold(g["label"], g["logit"]) for key, g in groups if g["label"].nunique() == 2}


def _check_complete(name: str, networks: list[Network], images: np.ndarray) -> None:
    for seed in sorted({network.seed for network in networks}):
        seen = np.unique(np.concatenate([network.rows for network in networks if network.seed == seed]))
        absent = np.delete(images, seen)
        if len(absent):
            raise UserError(
                f"models are compared on the same images; model '{name}', seed {seed} has no prediction of "
                f"{len(absent)} of {len(images)}: {first_few([*map(str, absent)], 5)}"
            )


def within(networks: Sequence[Network], inside: np.ndarray) -> tuple[Network, ...]:
    """The same networks on the images where `inside` (bool [n]) is true."""
    kept = [(network, inside[network.rows]) for network in networks]
    return tuple(
        replace(net, rows=net.rows[keep], logits=net.logits[keep], probabilities=net.probabilities[keep])
        for net, keep in kept
        if keep.any()
    )


# A model's AUC, sensitivity and specificity over its networks, by patients.


def model_influence(networks: Sequence[Network], data: Validation) -> Influence:
    """What each patient adds to a model's AUC: the mean over seeds of the mean over folds, weighted by pairs.

    Logits of different networks are not comparable, so pairs are formed within a network only. The trainings are the
    seeds; with fewer than 3 of them, the folds that hold both classes.
    """
    seeds = sorted({net.seed for net in networks})
    who, count = data.who
    found = [one for seed in seeds if (one := _of_seed(networks, seed, data)) is not None]
    whole = mean_influence(found)
    folds = sorted({net.fold for net in networks})
    if len(seeds) >= TRAININGS or len(folds) < TRAININGS:
        return whole
    of_folds = [_both(data.labels, [net for net in networks if net.fold == fold]) for fold in folds]
    kept = [
        mean_influence([placements(data.labels[n.rows], n.logits, who[n.rows], count) for n in of_fold]).value
        for of_fold in of_folds
        if of_fold
    ]
    sizes = np.array([np.mean([len(net.rows) for net in networks if net.fold == fold]) for fold in folds])
    return replace(whole, trainings=tuple(kept), overlap=float(np.mean(sizes / (sizes.sum() - sizes))))


def _both(labels: np.ndarray, networks: Sequence[Network]) -> list[Network]:
    """The networks whose images are of both classes."""
    return [net for net in networks if labels[net.rows].any() and not labels[net.rows].all()]


def seed_aucs(networks: Sequence[Network], data: Validation) -> dict[int, float]:
    """Seed → the mean over its folds, weighted by pairs; NaN where no fold holds both classes."""
    of = {seed: _of_seed(networks, seed, data) for seed in sorted({net.seed for net in networks})}
    return {seed: np.nan if one is None else one.value for seed, one in of.items()}


def _of_seed(networks: Sequence[Network], seed: int, data: Validation) -> Influence | None:
    """One seed's AUC over its folds; None where no fold holds both classes."""
    parts, (who, count) = [net for net in networks if net.seed == seed], data.who
    if not _both(data.labels, parts):
        return None
    rows = np.concatenate([net.rows for net in parts])
    fold = np.concatenate([np.full(len(net.rows), net.fold) for net in parts])
    return placements(data.labels[rows], np.concatenate([net.logits for net in parts]), who[rows], count, fold)


def networks_without_auc(networks: Sequence[Network], labels: np.ndarray) -> str:
    """Why a model's images give no AUC that says anything, else ""."""
    if not networks:
        return without_auc(np.array([], dtype=bool))
    rows = np.unique(np.concatenate([net.rows for net in networks]))
    return without_auc(labels[rows]) or ("" if _both(labels, networks) else "no fold holds images of both classes")


def rates(networks: Sequence[Network], data: Validation, level: float = 0.95) -> tuple[Rate, Rate]:
    """Sensitivity and specificity, each network at its own threshold, mean over seeds; NaN without a threshold."""
    n = len(data.labels)
    right, seen = np.zeros(n), np.zeros(n)
    for net in networks:
        called = np.where(np.isnan(net.threshold), np.nan, net.logits >= net.threshold)
        right[net.rows] += np.where(np.isnan(called), np.nan, called == data.labels[net.rows])
        seen[net.rows] += 1
    sides = []
    for of_class in (data.labels, ~data.labels):
        rows = np.flatnonzero(of_class & (seen > 0))
        share = right[rows] / seen[rows]
        if np.isnan(share).any():
            sides.append(Rate(np.nan, np.nan, np.nan, np.nan, np.nan, len(rows)))
        else:
            sides.append(rate(share, data.who[0][rows], level))
    return sides[0], sides[1]
