"""A model's AUC, sensitivity and specificity over its networks, by patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cxrlens.evaluate.auc import without_auc
from cxrlens.evaluate.influence import TRAININGS, Influence, mean_influence, placements
from cxrlens.evaluate.networks import Network, Validation
from cxrlens.evaluate.threshold import Rate, rate


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
