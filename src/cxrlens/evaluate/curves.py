"""ROC and precision-recall curves of a model, at most 200 points each (averaged as in Fawcett 2006, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrlens.evaluate.calibration import ReliabilityBin, reliability
from cxrlens.evaluate.networks import Network

POINTS = 200
Points = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Curve:
    """Points from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """The curves of a model.

    Attributes:
        roc: x is 1 - specificity, y is sensitivity.
        precision_recall: x is recall, y is precision.
        average_precision: mean over seeds of the mean over folds, weighted by the folds' positive images.
        prevalence: share of positive images, which is the precision of calling every image positive.
        reliability: bins of the predictions of all networks, in which a probability means the same.
    """

    roc: Curve
    precision_recall: Curve
    average_precision: float
    prevalence: float
    reliability: tuple[ReliabilityBin, ...]


def curves(networks: Sequence[Network], labels: np.ndarray, level: float = 0.95) -> Curves:
    """The curves of a model: exact for one network (thinned where long), for several the mean of y at equal x.

    Args:
        networks: networks of the model.
        labels: whether each validation image is positive, bool [n].
        level: confidence level of the intervals of the reliability curve, between 0 and 1.
    """
    with_both_classes = [net for net in networks if labels[net.rows].any() and not labels[net.rows].all()]
    if not with_both_classes:
        empty = Curve((), ())
        return Curves(empty, empty, np.nan, np.nan, ())
    points = [_points(labels[net.rows], net.logits) for net in with_both_classes]
    positives = [float(labels[net.rows].sum()) for net in with_both_classes]
    averages = [float(np.sum(np.diff(recall) * precision[1:])) for _, (recall, precision) in points]
    rows = np.concatenate([net.rows for net in networks])
    probabilities = np.concatenate([net.probabilities for net in networks])
    repeats = len({net.seed for net in networks})
    bins = max(2, min(10, len(np.unique(rows)) // 15))  # at least about 15 images each, where there are enough
    return Curves(
        _mean_curve([roc for roc, _ in points], positives, steps=False),
        _mean_curve([recall_precision for _, recall_precision in points], positives, steps=True),
        float(np.average(averages, weights=positives)),
        float(labels[rows].mean()),
        reliability(labels[rows], probabilities, bins, level, repeats),
    )


def _points(positive: np.ndarray, scores: np.ndarray) -> tuple[Points, Points]:
    """Exact ROC points and precision-recall points of one network, one for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true_positives = np.cumsum(positive[order])[last].astype(float)
    called = last + 1.0
    recall, precision = true_positives / true_positives[-1], true_positives / called
    false_rate = (called - true_positives) / (called[-1] - true_positives[-1])
    roc = np.append(0.0, false_rate), np.append(0.0, recall)
    return roc, (np.append(0.0, recall), np.append(precision[0], precision))


def _mean_curve(of_networks: list[Points], weights: list[float], *, steps: bool) -> Curve:
    if len(of_networks) == 1 and len(of_networks[0][0]) <= POINTS:
        x, y = of_networks[0]
    else:
        x = np.linspace(0, 1, POINTS // 2 + 1)
        y = np.average([_at(x, *points, steps=steps) for points in of_networks], axis=0, weights=weights)
        if not steps:  # a ROC curve starts at (0, 0), then rises along the axis
            x, y = np.concatenate([[0.0], x]), np.concatenate([[0.0], y])
    return Curve(tuple(map(float, x)), tuple(map(float, y)))


def _at(x: np.ndarray, known_x: np.ndarray, known_y: np.ndarray, *, steps: bool) -> np.ndarray:
    """The curve's height at each `x`.

    With `steps` it is the height of the first point that reaches x, else it is on the line between two points. Where
    the curve rises vertically, it is the top of the rise.
    """
    if steps:
        return known_y[np.minimum(np.searchsorted(known_x, x - 1e-12, side="left"), len(known_x) - 1)]
    top = np.append(known_x[1:] > known_x[:-1], True)
    return np.interp(x, known_x[top], known_y[top])
