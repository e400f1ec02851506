"""DeLong's variance of AUCs and the paired test (DeLong et al. 1988, doi:10.2307/2531595; ranks as in Sun and Xu 2014).

It takes images as independent: with several images a patient it is too narrow, and stands beside `cluster_bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from cxrlens.evaluate.auc import AucEstimate, from_variance, known_scores


@dataclass(frozen=True)
class PairedAuc:
    """AUC of `a` minus AUC of `b`; all but `difference` is NaN where the variance is 0 and the AUCs differ."""

    difference: float
    low: float
    high: float
    z: float
    p: float


def delong_covariance(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """AUCs [k] and their covariance [k, k].

    Args:
        labels: 1, 0 or NaN (left out), [n].
        scores: one row a model, [k, n].

    Raises:
        UserError: fewer than 2 images of a class; see `known_scores`.
    """
    positive, score = known_scores(labels, np.atleast_2d(np.asarray(scores, dtype=float)), least=2)
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score, axis=1)
    # Structural components: for each positive the share of negatives below it, for each negative of positives above it.
    v10 = (ranks[:, positive] - rankdata(score[:, positive], axis=1)) / n
    v01 = 1 - (ranks[:, ~positive] - rankdata(score[:, ~positive], axis=1)) / m
    return v10.mean(axis=1), np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n


def delong(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> AucEstimate:
    """An AUC with DeLong's interval on the logit scale; where the variance is 0, the fallback of `from_variance`.

    Raises:
        UserError: fewer than 2 images of a class; see `known_scores`.
    """
    positive, score = known_scores(labels, scores, least=2)
    aucs, covariance = delong_covariance(positive, score)
    return from_variance(
        float(aucs[0]), float(covariance[0, 0]), int(positive.sum()), int((~positive).sum()), level, "DeLong"
    )


def delong_paired(labels: ArrayLike, a: ArrayLike, b: ArrayLike, level: float = 0.95) -> PairedAuc:
    """Compares two models on the same images; identical scores give z 0 and p 1.

    Raises:
        UserError: fewer than 2 images of a class; see `known_scores`.
    """
    aucs, covariance = delong_covariance(labels, np.stack([np.asarray(a, dtype=float), np.asarray(b, dtype=float)]))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return paired_from_variance(float(aucs[0] - aucs[1]), float(variance), level)


def paired_from_variance(difference: float, variance: float, level: float = 0.95) -> PairedAuc:
    """The normal interval and test of a difference of AUCs."""
    if np.isnan(variance) or (variance <= 1e-20 and abs(difference) > 1e-12):
        return PairedAuc(difference, np.nan, np.nan, np.nan, np.nan)
    error = np.sqrt(max(variance, 0.0))
    z = difference / error if error > 1e-10 else 0.0
    reach = ndtri((1 + level) / 2) * error
    return PairedAuc(
        difference, float(difference - reach), float(difference + reach), float(z), float(2 * ndtr(-abs(z)))
    )
