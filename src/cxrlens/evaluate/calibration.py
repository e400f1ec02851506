"""Are the probabilities right? Intercept, slope, Brier and the reliability curve.

Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, root_scalar
from scipy.special import expit, logit

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import known_scores
from cxrlens.evaluate.threshold import wilson


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be taken at their word.

    Attributes:
        intercept: calibration in the large, the slope held at 1; 0 is right, above 0 the positives are underestimated.
        slope: of the logistic recalibration; 1 is right, below 1 the predictions are too extreme.
        brier: mean squared error of the probability; lower is better.
        reason: why a value is NaN, else "".
    """

    intercept: float
    slope: float
    brier: float
    reason: str = ""


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions of about one probability. `low` and `high` are Wilson's interval of `observed`."""

    predicted: float
    observed: float
    low: float
    high: float
    count: int
    positive: int


def calibration(labels: ArrayLike, logits: ArrayLike, probabilities: ArrayLike | None = None) -> Calibration:
    """Calibration of one network; the probability is the sigmoid of the logit unless given.

    Where the logits separate the classes the slope has no finite value: NaN, with the reason.
    """
    try:
        positive, score = known_scores(labels, logits)
    except UserError as error:
        return Calibration(np.nan, np.nan, np.nan, str(error))
    chance = expit(score) if probabilities is None else known_scores(labels, probabilities)[1]
    try:
        slope, reason = recalibration(positive, score)[1], ""
    except UserError as error:
        slope, reason = np.nan, str(error)
    return Calibration(_in_the_large(positive, score), slope, float(np.mean((chance - positive) ** 2)), reason)


def recalibration(labels: ArrayLike, logits: ArrayLike) -> tuple[float, float]:
    """Maximum likelihood (a, b) of P(positive) = sigmoid(a + b · logit) (Cox 1958).

    Raises:
        UserError: no finite solution: the logits separate the classes, or are all the same.
    """
    positive, score = known_scores(labels, logits)
    if np.ptp(score) == 0:
        raise UserError("the calibration slope is undefined: all logits are the same")
    if score[positive].min() >= score[~positive].max() or score[positive].max() <= score[~positive].min():
        raise UserError("the calibration slope is undefined: the logits separate the classes")
    center, scale = score.mean(), score.std()
    design = np.stack([np.ones_like(score), (score - center) / scale], axis=1)
    sign = np.where(positive, 1.0, -1.0)

    def loss(beta: np.ndarray) -> float:
        return float(np.logaddexp(0, -sign * (design @ beta)).mean())

    def gradient(beta: np.ndarray) -> np.ndarray:
        return design.T @ (expit(design @ beta) - positive) / len(score)

    def hessian(beta: np.ndarray) -> np.ndarray:
        chance = expit(design @ beta)
        return (design * (chance * (1 - chance))[:, None]).T @ design / len(score)

    found = minimize(loss, np.zeros(2), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    b = found.x[1] / scale
    return float(found.x[0] - b * center), float(b)


def _in_the_large(positive: np.ndarray, score: np.ndarray) -> float:
    """The shift of the logits after which the mean probability is the observed rate."""
    rate = positive.mean()
    low, high = logit(rate) - score.max() - 1e-6, logit(rate) - score.min() + 1e-6  # every probability below, above it
    found = root_scalar(lambda shift: expit(score + shift).mean() - rate, bracket=(low, high), xtol=1e-10)
    return float(found.root)


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10, level: float = 0.95, repeats: int = 1
) -> tuple[ReliabilityBin, ...]:
    """The reliability curve in bins of about equal counts; equal probabilities stay in one bin.

    Args:
        labels: 1, 0 or NaN (left out), [n].
        probabilities: in [0, 1], [n].
        bins: at most so many.
        level: of the intervals.
        repeats: how often each image occurs (once a seed); the intervals count images, not predictions.
    """
    label, chance = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    known = ~np.isnan(label)
    label, chance = label[known], chance[known]
    if not len(label):
        return ()
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, bins + 1)[1:-1]))
    of_bin = np.searchsorted(edges, chance, side="right")
    rows = []
    for index in np.unique(of_bin):
        inside = of_bin == index
        count, positive = int(inside.sum()), int(label[inside].sum())
        low, high = wilson(positive / count, count / repeats, level)
        rows.append(ReliabilityBin(float(chance[inside].mean()), positive / count, low, high, count, positive))
    return tuple(rows)
