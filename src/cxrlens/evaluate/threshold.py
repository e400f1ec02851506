"""A threshold chosen on training data, and the sensitivity and specificity there (Youden 1950; Wilson 1927)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from cxrlens.errors import UserError, near_miss
from cxrlens.evaluate.auc import LEAST, known_scores, score_ends
from cxrlens.evaluate.influence import PRIOR

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
