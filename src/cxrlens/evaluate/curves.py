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
    """What is drawn of a model.

    Attributes:
        roc: x is 1 - specificity, y is sensitivity.
        precision_recall: x is recall, y is precision.
        average_precision: mean over seeds of the mean over folds, by the folds' positives.
        prevalence: the precision of calling every image positive.
        reliability: bins of the pooled predictions; a probability means the same in every network.
    """

    roc: Curve
    precision_recall: Curve
    average_precision: float
    prevalence: float
    reliability: tuple[ReliabilityBin, ...]


def curves(networks: Sequence[Network], labels: np.ndarray, level: float = 0.95) -> Curves:
    """The curves of one network are exact (thinned where long); of several, averaged over y at equal x."""
    both = [net for net in networks if labels[net.rows].any() and not labels[net.rows].all()]
    if not both:
        empty = Curve((), ())
        return Curves(empty, empty, np.nan, np.nan, ())
    points = [_points(labels[net.rows], net.logits) for net in both]
    share = [float(labels[net.rows].sum()) for net in both]
    averages = [float(np.sum(np.diff(recall) * precision[1:])) for _, (recall, precision) in points]
    shown = np.concatenate([net.rows for net in networks])
    chances = np.concatenate([net.probabilities for net in networks])
    repeats = len({net.seed for net in networks})
    bins = max(2, min(10, len(np.unique(shown)) // 15))  # at least about 15 images each, where there are enough
    return Curves(
        _mean_curve([roc for roc, _ in points], share, steps=False),
        _mean_curve([found for _, found in points], share, steps=True),
        float(np.average(averages, weights=share)),
        float(labels[shown].mean()),
        reliability(labels[shown], chances, bins, level, repeats),
    )


def _points(positive: np.ndarray, scores: np.ndarray) -> tuple[Points, Points]:
    """One network's exact ROC and precision-recall points, a point for each distinct score."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(positive[order])[last].astype(float)
    called = last + 1.0
    recall, precision = hits / hits[-1], hits / called
    wrong = (called - hits) / (called[-1] - hits[-1])
    return (np.append(0.0, wrong), np.append(0.0, recall)), (np.append(0.0, recall), np.append(precision[0], precision))


def _mean_curve(parts: list[Points], share: list[float], *, steps: bool) -> Curve:
    if len(parts) == 1 and len(parts[0][0]) <= POINTS:
        x, y = parts[0]
    else:
        x = np.linspace(0, 1, POINTS // 2 + 1)
        y = np.average([_at(x, *part, steps=steps) for part in parts], axis=0, weights=share)
        if not steps:  # a ROC curve starts at (0, 0), then rises along the axis
            x, y = np.concatenate([[0.0], x]), np.concatenate([[0.0], y])
    return Curve(tuple(map(float, x)), tuple(map(float, y)))


def _at(x: np.ndarray, known_x: np.ndarray, known_y: np.ndarray, *, steps: bool) -> np.ndarray:
    """Heights at `x`: of the point that reaches it (steps), or on the line between points, the top of a rise."""
    if steps:
        return known_y[np.minimum(np.searchsorted(known_x, x - 1e-12, side="left"), len(known_x) - 1)]
    top = np.append(known_x[1:] > known_x[:-1], True)
    return np.interp(x, known_x[top], known_y[top])
