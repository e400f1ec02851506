"""Percentile intervals and p of draws of patients, for what is no mean of influences (Field and Welsh 2007)."""

from __future__ import annotations

import math

import numpy as np


def least_draws(level: float) -> int:
    """The fewest draws that an interval at this level, between 0 and 1, can be read from.

    >>> least_draws(0.95), least_draws(0.999)
    (39, 1999)
    """
    return math.ceil(2 / (1 - level) - 1e-9) - 1


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients, NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The k-th smallest and k-th largest draw, k = floor((1 - level) / 2 · (B + 1)); NaN draws are left out.

    `two_sided_p` falls to 1 - level exactly where this interval leaves 0 outside. NaN where there are too few draws.
    """
    kept = np.sort(values[~np.isnan(values)])
    k = int((1 - level) / 2 * (len(kept) + 1) + 1e-9)
    return (float(kept[k - 1]), float(kept[-k])) if k >= 1 else (np.nan, np.nan)


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the smaller tail beyond 0, each (k + 1) / (B + 1) (Davison and Hinkley 1997, ch. 4), without NaN draws.

    >>> two_sided_p(np.array([0.1] * 98 + [-0.1]))
    0.04
    """
    kept = differences[~np.isnan(differences)]
    tail = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(kept) + 1)) if len(kept) else np.nan
