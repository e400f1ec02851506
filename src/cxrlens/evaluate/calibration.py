"""Thresholds and calibration: sensitivity and specificity at a threshold, and whether the probabilities are right.

The threshold is chosen on training data (Youden 1950); sensitivity and specificity have intervals by patients and
Wilson's by images (Wilson 1927). Calibration is measured by intercept, slope, Brier score and the reliability curve
(Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, root_scalar
from scipy.special import expit, logit, ndtri

from cxrlens.errors import UserError, near_miss
from cxrlens.evaluate.auc import MIN_PATIENTS, known_scores, score_ends
from cxrlens.evaluate.influence import PRIOR_FREEDOM

RULES = ("youden",)


@dataclass(frozen=True)
class Rate:
    """A share of images with its intervals.

    Attributes:
        value: the share, between 0 and 1; NaN without images.
        low: lower end of the interval by patients; NaN with fewer than 5 patients.
        high: upper end of the interval by patients; NaN with fewer than 5 patients.
        wilson_low: lower end of Wilson's interval by images.
        wilson_high: upper end of Wilson's interval by images.
        images: number of images.
    """

    value: float
    low: float
    high: float
    wilson_low: float
    wilson_high: float
    images: int


def choose_threshold(labels: ArrayLike, scores: ArrayLike, rule: str = "youden") -> float:
    """The score at and above which an image is called positive; choose it on training data, never on validation data.

    Youden's rule takes the highest sensitivity + specificity, midway between two neighbouring scores. Among equally
    good thresholds it takes the most sensitive one.

    >>> choose_threshold([0, 0, 1, 1], [0.0, 1.0, 3.0, 4.0])
    2.0

    Raises:
        UserError: an unknown rule, or a class without an image.
    """
    if rule not in RULES:
        raise UserError(near_miss("threshold rule", rule, RULES))
    positive, score = known_scores(labels, scores)
    levels, of_level = np.unique(score, return_inverse=True)
    sensitivity = np.bincount(of_level, weights=positive)[::-1].cumsum()[::-1] / positive.sum()
    false_positives = np.bincount(of_level, weights=~positive)[::-1].cumsum()[::-1] / (~positive).sum()
    youden = sensitivity - false_positives
    best = int(np.flatnonzero(youden >= youden.max() - 1e-12)[0])
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


def rate(right: np.ndarray, patient_numbers: np.ndarray, level: float = 0.95) -> Rate:
    """The share of right predictions; its interval by patients is a score interval, as that of an AUC (see `auc`).

    Args:
        right: share of networks whose prediction is right for each image, [n]; over the positive images, their mean is
            the sensitivity.
        patient_numbers: patient of each image as a number from 0, int [n].
        level: confidence level of the intervals, between 0 and 1.
    """
    if not len(right):
        return Rate(np.nan, np.nan, np.nan, np.nan, np.nan, 0)
    share = float(right.mean())
    wilson_low, wilson_high = wilson(share, len(right), level)
    leverage = np.bincount(patient_numbers) / len(patient_numbers)
    errors = np.bincount(patient_numbers, (right - share) / len(patient_numbers))[leverage > 0]
    leverage = leverage[leverage > 0]
    count = len(leverage)
    if count < MIN_PATIENTS:
        return Rate(share, np.nan, np.nan, wilson_low, wilson_high, len(right))
    own = float((errors**2 / (1 - leverage)).sum())
    scale, freedom = 1 / count, count - 1.0
    if own > 1e-20:
        scale = (freedom * own / (share * (1 - share)) + PRIOR_FREEDOM * scale) / (freedom + PRIOR_FREEDOM)
    low, high = score_ends(share, scale, freedom + PRIOR_FREEDOM, level, lambda value: value * (1 - value))
    return Rate(share, low, high, wilson_low, wilson_high, len(right))


@dataclass(frozen=True)
class Calibration:
    """How well predicted probabilities agree with observed shares.

    Attributes:
        intercept: calibration in the large, with the slope held at 1; 0 is right, above 0 the predictions are too low.
        slope: slope of the logistic recalibration; 1 is right, below 1 the predictions are too extreme.
        brier: mean squared error of the probability, between 0 and 1; lower is better.
        reason: why a value is NaN, else "".
    """

    intercept: float
    slope: float
    brier: float
    reason: str = ""


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions of similar probability: their mean, the observed share of positives and its Wilson interval."""

    predicted: float
    observed: float
    low: float
    high: float
    count: int
    positive: int


def calibration(labels: ArrayLike, logits: ArrayLike, probabilities: ArrayLike | None = None) -> Calibration:
    """Calibration of one network.

    Where the logits separate the classes, the slope has no finite value: it is NaN, with the reason.

    Args:
        labels: 1, 0 or NaN (left out), [n].
        logits: logit of each image, [n].
        probabilities: predicted probability of each image, [n]; the sigmoid of the logit by default.
    """
    try:
        positive, score = known_scores(labels, logits)
    except UserError as error:
        return Calibration(np.nan, np.nan, np.nan, str(error))
    probability = expit(score) if probabilities is None else known_scores(labels, probabilities)[1]
    try:
        slope, reason = recalibration(positive, score)[1], ""
    except UserError as error:
        slope, reason = np.nan, str(error)
    return Calibration(_in_the_large(positive, score), slope, float(np.mean((probability - positive) ** 2)), reason)


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
        probability = expit(design @ beta)
        return (design * (probability * (1 - probability))[:, None]).T @ design / len(score)

    fit = minimize(loss, np.zeros(2), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    b = fit.x[1] / scale
    return float(fit.x[0] - b * center), float(b)


def _in_the_large(positive: np.ndarray, score: np.ndarray) -> float:
    """The shift of the logits after which the mean probability is the observed rate."""
    rate = positive.mean()
    low, high = logit(rate) - score.max() - 1e-6, logit(rate) - score.min() + 1e-6  # every probability below, above it
    solution = root_scalar(lambda shift: expit(score + shift).mean() - rate, bracket=(low, high), xtol=1e-10)
    return float(solution.root)


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10, level: float = 0.95, repeats: int = 1
) -> tuple[ReliabilityBin, ...]:
    """The reliability curve in bins of about equal counts; equal probabilities stay in one bin.

    Args:
        labels: 1, 0 or NaN (left out), [n].
        probabilities: in [0, 1], [n].
        bins: largest number of bins.
        level: confidence level of the intervals, between 0 and 1.
        repeats: how often each image occurs (once per seed); the intervals count images, not predictions.
    """
    label, probability = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    known = ~np.isnan(label)
    label, probability = label[known], probability[known]
    if not len(label):
        return ()
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    of_bin = np.searchsorted(edges, probability, side="right")
    rows = []
    for index in np.unique(of_bin):
        in_bin = of_bin == index
        count, positive = int(in_bin.sum()), int(label[in_bin].sum())
        low, high = wilson(positive / count, count / repeats, level)
        rows.append(ReliabilityBin(float(probability[in_bin].mean()), positive / count, low, high, count, positive))
    return tuple(rows)
