"""Intervals of AUCs that a paper published without them, from its numbers of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtri

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import check_level, too_few


def paper_interval(row: Mapping[str, Any], level: float = 0.95) -> tuple[float, float] | None:
    """Hanley and McNeil's interval of the paper's AUC in a model's row of `results.json`.

    Args:
        row: row of a model; its keys `paper_auc`, `paper_positive` and `paper_negative` may be absent.
        level: confidence level of the interval, between 0 and 1.

    Returns:
        The ends of the interval; None without an AUC or without its numbers of images, and for an AUC of 0 or 1, which
        has no such interval.

    >>> low, high = paper_interval({"paper_auc": 0.816, "paper_positive": 79, "paper_negative": 17})
    >>> round(low, 2), round(high, 2)
    (0.7, 0.89)
    """
    auc, numbers = row.get("paper_auc"), paper_numbers(row)
    if auc is None or numbers is None or not 0 < auc < 1:
        return None
    published = hanley_mcneil(auc, *numbers, level)
    return published.low, published.high


def paper_numbers(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Numbers of positive and negative images behind the paper's AUC; None where the study does not give them."""
    positive, negative = row.get("paper_positive"), row.get("paper_negative")
    return None if positive is None or negative is None else (positive, negative)


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
