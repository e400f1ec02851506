"""Comparisons of models: every pair, with Holm's correction (Holm 1979), over patients or over seeds (Welch 1947)."""

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

    Attributes:
        a: name of the first model.
        b: name of the second model.
        difference: the AUC of `a` minus the AUC of `b`.
        low: lower end of the interval by patients, of this pair alone.
        high: upper end of the interval by patients, of this pair alone.
        p: two-sided p-value of no difference, by patients.
        p_holm: `p` after Holm's correction over all pairs.
        train_low: lower end of the interval over patients and trainings; NaN with fewer than 3 trainings.
        train_high: upper end of the interval over patients and trainings; NaN with fewer than 3 trainings.
        train_p: two-sided p-value of no difference, over patients and trainings; NaN with fewer than 3 trainings.
        train_p_holm: `train_p` after Holm's correction over all pairs.
        reason: why there is no interval, else "".
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
        """The corrected p-value that decides on a winner: `train_p_holm` where there is one, else `p_holm`."""
        return self.p_holm if np.isnan(self.train_p_holm) else self.train_p_holm


@dataclass(frozen=True)
class Winner:
    """`name` is None where no model is better than every other one after Holm's correction; `sentence` says so."""

    name: str | None
    sentence: str


def compare(models: Mapping[str, Influence], level: float = 0.95, independent: bool = False) -> tuple[Comparison, ...]:
    """Compares every pair, in the models' order.

    Args:
        models: name → AUC of the model, all on the same patients unless `independent`.
        level: confidence level of the intervals, between 0 and 1.
        independent: whether the AUCs are of different patients.
    """
    return corrected([_pair(a, b, models, level, independent) for a, b in combinations(models, 2)])


def compare_with(reference: str, models: Mapping[str, Influence], level: float = 0.95) -> tuple[Comparison, ...]:
    """Compares every other model with one reference, in the models' order; Holm counts these comparisons only.

    Args:
        reference: name of the model that is subtracted from each other one.
        models: name → AUC of the model, all on the same patients, the reference among them.
        level: confidence level of the intervals, between 0 and 1.
    """
    return corrected([_pair(name, reference, models, level) for name in models if name != reference])


def _pair(a: str, b: str, models: Mapping[str, Influence], level: float, independent: bool = False) -> Comparison:
    """AUC of `a` minus AUC of `b`, not yet corrected."""
    result = difference_of(models[a], models[b], level, independent)
    by_patients = (result.low, result.high, result.p, np.nan)
    over_trainings = (result.train_low, result.train_high, result.train_p, np.nan)
    return Comparison(a, b, result.difference, *by_patients, *over_trainings, result.reason)


def corrected(pairs: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same pairs with Holm's correction over all of them."""
    adjusted = zip(pairs, holm([pair.p for pair in pairs]), holm([pair.train_p for pair in pairs]), strict=True)
    return tuple(replace(pair, p_holm=float(p), train_p_holm=float(train_p)) for pair, p, train_p in adjusted)


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values, in the order of `p`; NaN stays NaN and does not count as a comparison.

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

    The interval over patients and trainings decides where every model has 3 trainings or more, else that by patients.

    Args:
        aucs: name → AUC of the model.
        comparisons: all pairs of these models.
        level: confidence level, between 0 and 1.
    """
    if len(aucs) < 2:
        return Winner(None, "one model only: there is nothing to compare")
    alpha = 1 - level + 1e-12
    best = max(aucs, key=lambda name: aucs[name])
    rivals = {c.b if c.a == best else c.a: c for c in comparisons if best in (c.a, c.b)}
    not_beaten = [name for name, c in rivals.items() if not c.decides <= alpha]
    if not not_beaten:
        if len(rivals) == 1:
            (rival,) = rivals
            return Winner(best, f"{best} has the highest AUC; the interval of its difference from {rival} excludes 0")
        return Winner(
            best,
            f"{best} has the highest AUC; its difference from every other model is significant after Holm's correction",
        )
    reason = next((c.reason for c in comparisons if c.reason), "")
    if reason and all(np.isnan(c.decides) for c in comparisons):
        return Winner(None, f"no winner can be named: {reason}")
    if not any(c.decides <= alpha for c in comparisons):
        return Winner(None, "no winner can be named: no difference is significant after Holm's correction")
    return Winner(
        None,
        f"no winner can be named: {best} has the highest AUC, but cannot be told apart from {', '.join(not_beaten)}",
    )


# Numbers that are measured once per seed.


@dataclass(frozen=True)
class OverSeeds:
    """A model's mean over seeds with Student's interval, and the standard deviation over seeds."""

    mean: float
    low: float
    high: float
    sd: float
    seeds: int


@dataclass(frozen=True)
class SeedDifference:
    """Mean of `a` minus mean of `b` with Welch's interval; `p_holm` is `p` after Holm's correction over all pairs."""

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
        values: the number of each seed, at least two, [seeds].
        level: confidence level of the interval, between 0 and 1.

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
    """Compares every pair of models; their seeds are taken as independent samples.

    Args:
        models: name → the numbers of its seeds, [seeds].
        level: confidence level of the intervals, between 0 and 1; each is of its pair alone.
    """
    pairs = []
    for a, b in combinations(models, 2):
        x, y = models[a], models[b]
        difference = float(x.mean() - y.mean())
        if x.std() == 0 and y.std() == 0:  # without any spread there is no test
            p = 1.0 if difference == 0 else 0.0
            pairs.append(SeedDifference(a, b, difference, difference, difference, p, np.nan))
            continue
        test = stats.ttest_ind(x, y, equal_var=False)
        ends = test.confidence_interval(level)
        pairs.append(SeedDifference(a, b, difference, float(ends.low), float(ends.high), float(test.pvalue), np.nan))
    adjusted = holm([pair.p for pair in pairs])
    return tuple(replace(pair, p_holm=float(p)) for pair, p in zip(pairs, adjusted, strict=True))
