"""Are the probabilities right? Intercept, slope, Brier and the reliability curve.

Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, root_scalar
from scipy.special import expit, logit, ndtri

from cxrlens.errors import UserError, near_miss
from cxrlens.evaluate.auc import LEAST, known_scores, score_ends
from cxrlens.evaluate.influence import PRIOR

# A threshold chosen on training data, and the sensitivity and specificity there (Youden 1950; Wilson 1927).

RULES = ("youden",)


@dataclass(frozen=True)
class Rate:
    """A share of images; `low` and `high` by patients, NaN with fewer than 5 of them; Wilson's by images."""

    value: float
    low: float
    high: float
    wilson_low: float
    wilson_high: float
    images: int


def choose_threshold(labels: ArrayLike, scores: ArrayLike, rule: str = "youden") -> float:
    """The score at and above which an image is called positive. Give it training data, never those that are judged.

    Youden's: highest sensitivity + specificity, midway between neighbouring scores; of equals, the most sensitive.

    >>> choose_threshold([0, 0, 1, 1], [0.0, 1.0, 3.0, 4.0])
    2.0

    Raises:
        UserError: an unknown rule, or a class without an image.
    """
    if rule not in RULES:
        raise UserError(near_miss("threshold rule", rule, RULES))
    positive, score = known_scores(labels, scores)
    levels, of_level = np.unique(score, return_inverse=True)
    called = np.bincount(of_level, weights=positive)[::-1].cumsum()[::-1] / positive.sum()
    wrong = np.bincount(of_level, weights=~positive)[::-1].cumsum()[::-1] / (~positive).sum()
    best = int(np.flatnonzero(called - wrong >= (called - wrong).max() - 1e-12)[0])
    return float(levels[best] if best == 0 else (levels[best - 1] + levels[best]) / 2)


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share of `n` images; NaN where `n` is 0.

    >>> low, high = wilson(1.0, 10)
    >>> round(low, 3), high
    (0.722, 1.0)
    """
    if n <= 0:
        return np.nan, np.nan
    z2 = ndtri((1 + level) / 2) ** 2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    low = 0.0 if share <= 0 else float(center - reach)
    return low, 1.0 if share >= 1 else float(center + reach)


def rate(right: np.ndarray, who: np.ndarray, level: float = 0.95) -> Rate:
    """The mean of `right`, with intervals; that by patients is a score interval as an AUC's is (see `auc`).

    Args:
        right: for each image the share of networks that call it rightly, [n], such as of the positives (sensitivity).
        who: the patient of each image, as a number from 0, [n].
        level: of the intervals.
    """
    if not len(right):
        return Rate(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    share = float(right.mean())
    wilson_low, wilson_high = wilson(share, len(right), level)
    leverage = np.bincount(who) / len(who)
    leverage, errors = leverage[leverage > 0], np.bincount(who, (right - share) / len(who))[leverage > 0]
    count = len(leverage)
    if count < LEAST:
        return Rate(share, np.nan, np.nan, wilson_low, wilson_high, len(right))
    own = float((errors**2 / (1 - leverage)).sum())
    scale, freedom = 1 / count, count - 1.0
    if own > 1e-20:
        scale = (freedom * own / (share * (1 - share)) + PRIOR * scale) / (freedom + PRIOR)
    low, high = score_ends(share, scale, freedom + PRIOR, level, lambda value: value * (1 - value))
    return Rate(share, low, high, wilson_low, wilson_high, len(right))


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
