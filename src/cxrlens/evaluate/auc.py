"""Area under the ROC curve and its interval on the logit scale.

Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.

No interval here is ±0: where the variance is, a fallback stands in and the result says which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata

from cxrlens.errors import UserError


@dataclass(frozen=True)
class AucEstimate:
    """An AUC with its interval; `method` says how the interval was made, a fallback included."""

    auc: float
    low: float
    high: float
    level: float
    n_positive: int
    n_negative: int
    method: str


def known_scores(labels: ArrayLike, scores: ArrayLike, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and scores as float [..., n] of the images whose label is known.

    Args:
        labels: 1, 0 or NaN (unknown: left out), [n].
        scores: any real numbers, higher means more positive, [n] or [k, n].
        least: images needed of each class.

    Raises:
        UserError: a label is something else, a score is not finite, or a class has fewer than `least` images.
    """
    label = np.asarray(labels, dtype=float)
    score = np.asarray(scores, dtype=float)
    if label.ndim != 1 or score.shape[-1:] != label.shape:
        raise UserError(f"one score is needed for each label; got labels {label.shape} and scores {score.shape}")
    known = ~np.isnan(label)
    positive, score = label[known] == 1, score[..., known]
    if not (positive | (label[known] == 0)).all():
        raise UserError(f"labels are 1, 0 or NaN; got {np.unique(label[known]).tolist()[:5]}")
    if not np.isfinite(score).all():
        raise UserError(
            f"every score must be a finite number; {int((~np.isfinite(score)).sum())} of {score.size} are not"
        )
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < least:
        raise UserError(too_few(n_positive, n_negative, least))
    return positive, score


def too_few(n_positive: int, n_negative: int, least: int = 2) -> str:
    """Why there is no AUC (or no interval of it) from so few images."""
    what = "an AUC interval needs at least 2 images" if least > 1 else "an AUC needs at least 1 image"
    return f"{what} of each class; got {n_positive} positive and {n_negative} negative"


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The share of (positive, negative) pairs in the right order, a tie counting one half.

    >>> auc([1, 1, 0, 0, float("nan")], [0.9, 0.4, 0.4, 0.1, 0.5])
    0.875

    Raises:
        UserError: see `known_scores`.
    """
    positive, score = known_scores(labels, scores)
    m, n = positive.sum(), (~positive).sum()
    return float((rankdata(score)[positive].sum() - m * (m + 1) / 2) / (m * n))


def hanley_mcneil(auc: float, n_positive: int, n_negative: int, level: float = 0.95) -> AucEstimate:
    """The interval that a published AUC has by its counts alone (variance of Hanley and McNeil 1982, logit scale).

    >>> estimate = hanley_mcneil(0.672, 79, 17)
    >>> round(estimate.low, 2), round(estimate.high, 2)
    (0.53, 0.79)
    """
    if not 0 <= auc <= 1:
        raise UserError(f"an AUC lies between 0 and 1; got {auc}")
    return from_variance(
        auc, hanley_mcneil_variance(auc, n_positive, n_negative), n_positive, n_negative, level, "Hanley-McNeil"
    )


def hanley_mcneil_variance(auc: float, n_positive: int, n_negative: int) -> float:
    """Variance of an AUC under negative exponential scores."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    return spread / (n_positive * n_negative)


def from_variance(
    auc: float, variance: float, n_positive: int, n_negative: int, level: float = 0.95, method: str = "DeLong"
) -> AucEstimate:
    """The interval on the logit scale; where the variance says nothing, a fallback, so that nothing is printed as ±0.

    At AUC 1 (or 0) the fallback is `ordered_bound`; elsewhere, as where all scores are equal, the variance of Hanley
    and McNeil.

    Raises:
        UserError: fewer than 2 images of a class, or a level outside (0, 1).
    """
    if min(n_positive, n_negative) < 2:
        raise UserError(too_few(n_positive, n_negative))
    if not 0 < level < 1:
        raise UserError(f"a confidence level lies between 0 and 1, as 0.95; got {level}")
    if auc in (0, 1):
        low, high = ordered_bound(auc, min(n_positive, n_negative), level)
        return AucEstimate(auc, low, high, level, n_positive, n_negative, "exact bound from disjoint pairs")
    if variance <= 1e-20:
        variance, method = hanley_mcneil_variance(auc, n_positive, n_negative), "Hanley-McNeil"
    reach = ndtri((1 + level) / 2) * np.sqrt(variance) / (auc * (1 - auc))
    low, high = expit(logit(auc) - reach), expit(logit(auc) + reach)
    return AucEstimate(auc, float(low), float(high), level, n_positive, n_negative, method)


def ordered_bound(auc: float, pairs: int, level: float = 0.95) -> tuple[float, float]:
    """The interval where every pair is in order (AUC 1) or none is (AUC 0).

    The smaller class gives that many disjoint, so independent, pairs, each in order with probability AUC. Clopper and
    Pearson's bound for no failure in as many trials follows: the "rule of three" (Hanley and Lippman-Hand 1983,
    doi:10.1001/jama.1983.03330370053031) at the two-sided level. It is conservative.

    >>> round(ordered_bound(1.0, 17)[0], 3)
    0.805
    """
    bound = ((1 - level) / 2) ** (1 / pairs)
    return (bound, 1.0) if auc == 1 else (0.0, 1 - bound)
