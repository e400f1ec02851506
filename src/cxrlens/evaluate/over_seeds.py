"""A number measured once a seed: its mean over seeds, and whether two models differ (Welch 1947, Holm 1979)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from cxrlens.errors import UserError
from cxrlens.evaluate.compare import holm


@dataclass(frozen=True)
class OverSeeds:
    """A model's mean over seeds with Student's interval; `sd` is the standard deviation over seeds."""

    mean: float
    low: float
    high: float
    sd: float
    seeds: int


@dataclass(frozen=True)
class SeedDifference:
    """Mean of `a` minus mean of `b` with Welch's interval; `p_holm` is of it among all pairs."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


def over_seeds(values: np.ndarray, level: float = 0.95) -> OverSeeds:
    """The mean and its interval.

    Args:
        values: one a seed, at least two.
        level: of the interval.

    Raises:
        UserError: fewer than two seeds.

    >>> round(over_seeds(np.array([1.0, 2.0, 3.0])).low, 3)
    -0.484
    """
    if len(values) < 2:
        raise UserError(f"an interval over seeds needs at least 2 seeds; got {len(values)}")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * sd / len(values) ** 0.5
    return OverSeeds(mean, mean - reach, mean + reach, sd, len(values))


def seed_differences(models: Mapping[str, np.ndarray], level: float = 0.95) -> tuple[SeedDifference, ...]:
    """Every pair of models, seeds taken as independent draws of each.

    Args:
        models: name → values, one a seed.
        level: of the intervals, each of its pair alone.
    """
    found = []
    for a, b in combinations(models, 2):
        x, y = models[a], models[b]
        gap = float(x.mean() - y.mean())
        if x.std() == 0 and y.std() == 0:  # no spread to judge by
            found.append(SeedDifference(a, b, gap, gap, gap, 1.0 if gap == 0 else 0.0, np.nan))
            continue
        tested = stats.ttest_ind(x, y, equal_var=False)
        ends = tested.confidence_interval(level)
        found.append(SeedDifference(a, b, gap, float(ends.low), float(ends.high), float(tested.pvalue), np.nan))
    return tuple(replace(c, p_holm=float(p)) for c, p in zip(found, holm([c.p for c in found]), strict=True))
