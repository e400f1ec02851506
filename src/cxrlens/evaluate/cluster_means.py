"""Means over images with an interval by patients, whose images stand together (linearised, CR2, Student's t)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from cxrlens.errors import UserError


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over images.

    Attributes:
        mean: NaN where no image has a value.
        low: of the interval; NaN where there are fewer than 2 patients.
        high: likewise.
        p: two-sided, of the mean's being `null`; NaN likewise.
        null: what `p` tests.
        level: of the interval.
        images: that have a value.
        patients: of these images.
    """

    mean: float
    low: float
    high: float
    p: float
    null: float
    level: float
    images: int
    patients: int


def mean_over_patients(values: ArrayLike, patients: ArrayLike, null: float = 0.0, level: float = 0.95) -> MeanEstimate:
    """The mean of what is known, with an interval by patients.

    Args:
        values: one an image, [n], NaN where unknown; or [r, n] of r repeats (random networks, say), whose variance is
            then added to that of the patients (Satterthwaite's degrees of freedom).
        patients: an identifier for each image, [n].
        null: what `p` is of.
        level: of the interval.

    Raises:
        UserError: as many patients as images are needed.

    >>> found = mean_over_patients([1.0, 2.0, 3.0, np.nan], ["a", "b", "c", "d"])
    >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2), found.images
    (2.0, -0.48, 4.48, 3)
    """
    rows = np.atleast_2d(np.asarray(values, float))
    who = np.asarray(patients).astype(str)
    if who.shape != rows.shape[1:]:
        raise UserError(f"a mean over patients needs a patient for each value; got {rows.shape[1]} and {len(who)}")
    known = ~np.isnan(rows)
    seen = known.any(axis=0)
    names, of_image = np.unique(who[seen], return_inverse=True)
    counts, sums = np.zeros((2, len(rows), len(names)))
    for row, (value, there) in enumerate(zip(rows[:, seen], known[:, seen], strict=True)):
        counts[row] = np.bincount(of_image[there], minlength=len(names))
        sums[row] = np.bincount(of_image[there], weights=value[there], minlength=len(names))
    mean = float(ratio(sums.sum(), counts.sum()))
    if len(names) < 2:
        return MeanEstimate(mean, np.nan, np.nan, np.nan, null, level, int(seen.sum()), len(names))
    over = (0, 1) if len(rows) > 1 else (0,)
    parts = [_variance(sums.sum(axis=axis), counts.sum(axis=axis), mean) for axis in over]
    variance = sum(each for each, _ in parts)
    error = float(np.sqrt(variance))
    freedom = variance**2 / sum(each**2 / of for each, of in parts) if variance > 0 else 1.0
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * student.sf(abs(mean - null) / error, freedom)) if error > 0 else float(mean == null)
    return MeanEstimate(mean, mean - reach, mean + reach, p, null, level, int(seen.sum()), len(names))


def _variance(sums: np.ndarray, counts: np.ndarray, mean: float) -> tuple[float, float]:
    """Variance of a mean by members (patients, or repeats), and its degrees of freedom."""
    leverage = counts[counts > 0] / counts.sum()
    if len(leverage) < 2:
        return 0.0, 1.0
    errors = (sums - mean * counts)[counts > 0] / counts.sum()
    return float((errors**2 / (1 - leverage)).sum()), len(leverage) - 1.0


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients, NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)
