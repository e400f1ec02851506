"""A model's AUC, sensitivity and specificity over its networks, with intervals from draws of patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cxrlens.evaluate.auc import hanley_mcneil, ordered_bound, too_few
from cxrlens.evaluate.cluster_bootstrap import percentile_interval, ratio, weighted_pairs
from cxrlens.evaluate.delong import delong_covariance
from cxrlens.evaluate.networks import Network, Validation
from cxrlens.evaluate.threshold import Rate, rate


def seed_aucs(networks: Sequence[Network], labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC of each seed in each draw, [seeds, draws].

    Logits of different networks are not comparable, so pairs are formed within a network only: a seed's AUC is the mean
    over its folds, each by the weight of its pairs. NaN where no pair is left.
    """
    wins: dict[int, list[np.ndarray]] = {}
    for network in networks:
        pairs = weighted_pairs(labels[network.rows], network.logits, weights[:, network.rows])
        wins.setdefault(network.seed, []).append(np.stack(pairs))
    totals = [np.sum(wins[seed], axis=0) for seed in sorted(wins)]
    return np.stack([ratio(*total) for total in totals])


def model_delong(networks: Sequence[Network], labels: np.ndarray, others: Sequence[Network] | None = None) -> float:
    """DeLong's variance of a model's AUC, or of its difference from `others`' AUC.

    Folds hold different images: their variances add with squared weights. Seeds are judged on the same images: the
    variance of their mean is at most the mean of their variances, which is taken (conservative). NaN where a fold has
    fewer than 2 images of a class, or where the other model has other seeds or folds.
    """
    partner = {(net.seed, net.fold): net for net in others} if others is not None else {}
    if others is not None and partner.keys() != {(net.seed, net.fold) for net in networks}:
        return np.nan
    seeds: dict[int, list[tuple[int, float]]] = {}
    for net in networks:
        positive = labels[net.rows]
        least = min(int(positive.sum()), int((~positive).sum()))
        if least < 2:
            return np.nan
        scores, contrast = net.logits[None], np.ones(1)
        if others is not None:
            other = partner[net.seed, net.fold]
            order, other_order = np.argsort(net.rows), np.argsort(other.rows)
            if not np.array_equal(net.rows[order], other.rows[other_order]):
                return np.nan
            positive = positive[order]
            scores, contrast = np.stack([net.logits[order], other.logits[other_order]]), np.array([1.0, -1.0])
        covariance = delong_covariance(positive, scores)[1]
        pairs = int(positive.sum()) * int((~positive).sum())
        seeds.setdefault(net.seed, []).append((pairs, float(contrast @ covariance @ contrast)))
    of_seed = [sum((n / sum(n for n, _ in folds)) ** 2 * v for n, v in folds) for folds in seeds.values()]
    return float(np.mean(of_seed))


def without_auc(networks: Sequence[Network], labels: np.ndarray) -> str:
    """Why these images give no AUC with an interval, else ""."""
    rows = np.unique(np.concatenate([net.rows for net in networks])) if networks else np.array([], dtype=int)
    positive, negative = int(labels[rows].sum()), int((~labels[rows]).sum())
    if min(positive, negative) < 2:
        return too_few(positive, negative)
    apart = all(labels[net.rows].all() or not labels[net.rows].any() for net in networks)
    return "no fold holds images of both classes" if apart else ""


def auc_interval(
    networks: Sequence[Network], data: Validation, weights: np.ndarray, level: float = 0.95
) -> tuple[float, float, float, np.ndarray]:
    """AUC (mean over seeds), its percentile interval, and the AUC of each draw, [draws].

    Where no draw differs, as at AUC 1, the interval is that of `ordered_bound` (or of Hanley and McNeil) with patients
    for images: never ±0.
    """
    value = float(seed_aucs(networks, data.labels, np.ones((1, len(data.labels)))).mean())
    drawn = seed_aucs(networks, data.labels, weights).mean(axis=0)
    low, high = percentile_interval(drawn, level)
    if low == high:
        rows = np.unique(np.concatenate([net.rows for net in networks]))
        with_positive = np.unique(data.patients[rows][data.labels[rows]])
        with_negative = np.unique(data.patients[rows][~data.labels[rows]])
        patients = len(np.union1d(with_positive, with_negative))
        if value in (0, 1):
            pairs = max(1, min(len(with_positive), len(with_negative), patients // 2))
            low, high = ordered_bound(value, pairs, level)
        else:
            estimate = hanley_mcneil(value, max(2, len(with_positive)), max(2, len(with_negative)), level)
            low, high = estimate.low, estimate.high
    return value, low, high, drawn


def rates(networks: Sequence[Network], data: Validation, weights: np.ndarray, level: float = 0.95) -> tuple[Rate, Rate]:
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
            sides.append(rate(share, weights[:, rows], level))
    return sides[0], sides[1]
