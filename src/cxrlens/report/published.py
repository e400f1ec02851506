"""The paper's own AUCs (West, Jha and Tsang 2020, Table 1): published without intervals, given here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import check_level, too_few

PAPER_POSITIVE, PAPER_NEGATIVE = 79, 17  # images of the paper's validation side


def published_interval(value: float | None, level: float = 0.95) -> PublishedAuc | None:
    """A published AUC with Hanley and McNeil's interval; None where the paper gives no value.

    >>> found = published_interval(0.816)
    >>> round(found.low, 2), round(found.high, 2)
    (0.7, 0.89)
    """
    return None if value is None else hanley_mcneil(value, PAPER_POSITIVE, PAPER_NEGATIVE, level)


@dataclass(frozen=True)
class PublishedAuc:
    """An AUC that was published without an interval, and Hanley and McNeil's."""

    auc: float
    low: float
    high: float
    level: float


def hanley_mcneil(auc: float, n_positive: int, n_negative: int, level: float = 0.95) -> PublishedAuc:
    """The interval that a published AUC has by its counts alone, on the logit scale, images taken as independent.

    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747, whose model has negative exponential scores.

    >>> estimate = hanley_mcneil(0.672, 79, 17)
    >>> round(estimate.low, 2), round(estimate.high, 2)
    (0.53, 0.79)
    """
    if not 0 < auc < 1:
        raise UserError(f"an interval by counts alone needs an AUC between 0 and 1; got {auc}")
    if min(n_positive, n_negative) < 2:
        raise UserError(too_few(n_positive, n_negative))
    check_level(level)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    reach = ndtri((1 + level) / 2) * np.sqrt(spread / (n_positive * n_negative)) / (auc * (1 - auc))
    return PublishedAuc(auc, float(expit(logit(auc) - reach)), float(expit(logit(auc) + reach)), level)
