"""Intervals for the published AUCs (West, Jha and Tsang 2020, Table 1), which have none in the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import check_level, too_few

PAPER_POSITIVE, PAPER_NEGATIVE = 79, 17  # images of the paper's validation set


def published_interval(value: float | None, level: float = 0.95) -> PublishedAuc | None:
    """A published AUC of the paper with the interval of Hanley and McNeil; None without a published AUC.

    >>> published = published_interval(0.816)
    >>> round(published.low, 2), round(published.high, 2)
    (0.7, 0.89)
    """
    return None if value is None else hanley_mcneil(value, PAPER_POSITIVE, PAPER_NEGATIVE, level)


@dataclass(frozen=True)
class PublishedAuc:
    """An AUC that was published without an interval, with the interval of Hanley and McNeil."""

    auc: float
    low: float
    high: float
    level: float


def hanley_mcneil(auc: float, n_positive: int, n_negative: int, level: float = 0.95) -> PublishedAuc:
    """The interval of a published AUC from its counts alone, on the logit scale. It treats images as independent.

    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747, whose model has negative exponential scores.

    Args:
        auc: published AUC, strictly between 0 and 1.
        n_positive: number of positive images, at least 2.
        n_negative: number of negative images, at least 2.
        level: confidence level, between 0 and 1.

    Raises:
        UserError: an argument is outside its range.

    >>> estimate = hanley_mcneil(0.672, 79, 17)
    >>> round(estimate.low, 2), round(estimate.high, 2)
    (0.53, 0.79)
    """
    if not 0 < auc < 1:
        raise UserError(f"an interval from counts alone needs an AUC between 0 and 1; got {auc}")
    if min(n_positive, n_negative) < 2:
        raise UserError(too_few(n_positive, n_negative))
    check_level(level)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    reach = ndtri((1 + level) / 2) * np.sqrt(spread / (n_positive * n_negative)) / (auc * (1 - auc))
    return PublishedAuc(auc, float(expit(logit(auc) - reach)), float(expit(logit(auc) + reach)), level)
