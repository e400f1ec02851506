"""Means over images with an interval over patients, whose images are drawn together (Field and Welsh 2007)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_bootstrap import percentile_interval, ratio, two_sided_p


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


def mean_over_patients(
    values: ArrayLike,
    patients: ArrayLike,
    generator: np.random.Generator,
    null: float = 0.0,
    level: float = 0.95,
    draws: int = 2000,
) -> MeanEstimate:
    """The mean of what is known, with a percentile interval of draws of patients.

    Percentile intervals of few patients (or repeats) are somewhat too narrow: with 8 of them, by about a fifth.

    Args:
        values: one an image, [n], NaN where unknown; or [r, n] of r repeats (random networks, say), which are then
            drawn as well, independently of the patients.
        patients: an identifier for each image, [n].
        generator: the randomness.
        null: what `p` is of.
        level: of the interval.
        draws: how many.

    Raises:
        UserError: as many patients as images are needed.

    >>> found = mean_over_patients([1.0, 3.0, np.nan], ["a", "b", "c"], np.random.default_rng(0))
    >>> found.mean, found.low, found.high, found.images
    (2.0, 1.0, 3.0, 2)
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
    of_patients, of_repeats = (_drawn(each, draws, generator) for each in (len(names), len(rows)))
    drawn = ratio(*(((of_repeats @ each) * of_patients).sum(axis=1) for each in (sums, counts)))
    low, high = percentile_interval(drawn, level)
    return MeanEstimate(mean, low, high, two_sided_p(drawn - null), null, level, int(seen.sum()), len(names))


def _drawn(members: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of `members` is drawn, in `members` draws with replacement: [draws, members]."""
    return generator.multinomial(members, np.full(members, 1 / members), size=draws)
