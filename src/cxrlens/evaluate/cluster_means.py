"""Means over images with an interval by patients, whose images form a cluster (linearised, CR2, Student's t)."""

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
        mean: mean of the known values; NaN where no image has a value.
        low: lower end of the interval by patients; NaN with fewer than 2 patients.
        high: upper end of the interval by patients; NaN with fewer than 2 patients.
        p: two-sided p-value of the null that the mean is `null`; NaN with fewer than 2 patients.
        null: value of the mean under the null hypothesis.
        level: confidence level of the interval, between 0 and 1.
        images: number of images that have a value.
        patients: number of patients of these images.
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
    """The mean of the known values, with an interval by patients.

    Args:
        values: value of each image, [n], NaN where unknown; or [r, n] of r repeats (such as random networks), whose
            variance is added to that of the patients (with Satterthwaite's degrees of freedom).
        patients: patient identifier of each image, [n].
        null: value of the mean under the null hypothesis, for `p`.
        level: confidence level of the interval, between 0 and 1.

    Raises:
        UserError: the number of patients is not the number of images.

    >>> result = mean_over_patients([1.0, 2.0, 3.0, np.nan], ["a", "b", "c", "d"])
    >>> round(result.mean, 2), round(result.low, 2), round(result.high, 2), result.images
    (2.0, -0.48, 4.48, 3)
    """
    rows = np.atleast_2d(np.asarray(values, float))
    identifiers = np.asarray(patients).astype(str)
    if identifiers.shape != rows.shape[1:]:
        raise UserError(
            f"a mean over patients needs a patient for each value; got {rows.shape[1]} values and "
            f"{len(identifiers)} patients"
        )
    known = ~np.isnan(rows)
    any_known = known.any(axis=0)
    names, of_image = np.unique(identifiers[any_known], return_inverse=True)
    counts, sums = np.zeros((2, len(rows), len(names)))
    for row, (value, known_values) in enumerate(zip(rows[:, any_known], known[:, any_known], strict=True)):
        counts[row] = np.bincount(of_image[known_values], minlength=len(names))
        sums[row] = np.bincount(of_image[known_values], weights=value[known_values], minlength=len(names))
    mean = float(ratio(sums.sum(), counts.sum()))
    if len(names) < 2:
        return MeanEstimate(mean, np.nan, np.nan, np.nan, null, level, int(any_known.sum()), len(names))
    axes = (0, 1) if len(rows) > 1 else (0,)
    parts = [_variance(sums.sum(axis=axis), counts.sum(axis=axis), mean) for axis in axes]
    variance = sum(part for part, _ in parts)
    error = float(np.sqrt(variance))
    freedom = variance**2 / sum(part**2 / part_freedom for part, part_freedom in parts) if variance > 0 else 1.0
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * student.sf(abs(mean - null) / error, freedom)) if error > 0 else float(mean == null)
    return MeanEstimate(mean, mean - reach, mean + reach, p, null, level, int(any_known.sum()), len(names))


def _variance(sums: np.ndarray, counts: np.ndarray, mean: float) -> tuple[float, float]:
    """Variance of a mean over clusters (patients, or repeats), and its degrees of freedom."""
    leverage = counts[counts > 0] / counts.sum()
    if len(leverage) < 2:
        return 0.0, 1.0
    errors = (sums - mean * counts)[counts > 0] / counts.sum()
    return float((errors**2 / (1 - leverage)).sum()), len(leverage) - 1.0


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients, NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)
