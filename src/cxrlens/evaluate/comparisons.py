"""Every pair of models on the same patients, with Holm's correction over the ladder (Holm 1979)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import difference_of
from cxrlens.evaluate.influence import Influence


@dataclass(frozen=True)
class Comparison:
    """AUC of `a` minus AUC of `b`.

    `low`, `high` and `p` are by patients and of this pair alone, `p_holm` of it among all pairs; those with `train_`
    are over patients and trainings, and NaN with fewer than 3 trainings.
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    train_low: float
    train_high: float
    train_p: float
    train_p_holm: float
    reason: str = ""

    @property
    def decides(self) -> float:
        """Holm's p that names a winner: over patients and trainings where there are enough of these."""
        return self.p_holm if np.isnan(self.train_p_holm) else self.train_p_holm


@dataclass(frozen=True)
class Winner:
    """`name` is None where no model is better than every other one after Holm's correction; `sentence` says so."""

    name: str | None
    sentence: str


def compare(models: Mapping[str, Influence], level: float = 0.95, apart: bool = False) -> tuple[Comparison, ...]:
    """Compares every pair, in the models' order.

    Args:
        models: name → its AUC, all of the same patients.
        level: of the intervals.
        apart: whether they are of different patients instead.
    """
    found = []
    for a, b in combinations(models, 2):
        one = difference_of(models[a], models[b], level, apart)
        ends = (one.low, one.high, one.p, np.nan, one.train_low, one.train_high, one.train_p, np.nan)
        found.append(Comparison(a, b, one.difference, *ends, one.reason))
    return corrected(found)


def corrected(pairs: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same pairs with Holm's correction over all of them."""
    both = zip(pairs, holm([c.p for c in pairs]), holm([c.train_p for c in pairs]), strict=True)
    return tuple(replace(c, p_holm=float(p), train_p_holm=float(anew)) for c, p, anew in both)


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values, in the given order; NaN is left out of the count.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    adjusted = np.full_like(values, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps)) if len(order) else steps
    return adjusted


def winner(aucs: Mapping[str, float], comparisons: Sequence[Comparison], level: float = 0.95) -> Winner:
    """Names the model that beats every other one after Holm's correction, or says that none can be named.

    By the interval over patients and trainings where every model has 3 trainings or more, else by patients.
    """
    if len(aucs) < 2:
        return Winner(None, "one model only: there is nothing to compare")
    alpha = 1 - level + 1e-12
    best = max(aucs, key=lambda name: aucs[name])
    rivals = {c.b if c.a == best else c.a: c for c in comparisons if best in (c.a, c.b)}
    near = [name for name, c in rivals.items() if not c.decides <= alpha]
    if not near:
        if len(rivals) == 1:
            (rival,) = rivals
            return Winner(best, f"{best} has the highest AUC; its difference from {rival} excludes 0")
        return Winner(best, f"{best} has the highest AUC; every difference from it excludes 0 after Holm's correction")
    reason = next((c.reason for c in comparisons if c.reason), "")
    if reason and all(np.isnan(c.decides) for c in comparisons):
        return Winner(None, f"no winner can be named: {reason}")
    if not any(c.decides <= alpha for c in comparisons):
        return Winner(None, "no winner can be named: no interval of a difference excludes 0 after Holm's correction")
    return Winner(
        None, f"no winner can be named: {best} has the highest AUC, but cannot be told apart from {', '.join(near)}"
    )


# A number measured once a seed: its mean over seeds, and whether two models differ (Welch 1947, Holm 1979).


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
