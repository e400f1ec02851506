"""Every pair of models on the same patients' draws, with Holm's correction over the ladder (Holm 1979)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from cxrlens.evaluate.cluster_bootstrap import percentile_interval, two_sided_p


@dataclass(frozen=True)
class Scored:
    """A model's AUC, its interval, and its AUC in each draw, [draws]."""

    auc: float
    low: float
    high: float
    draws: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """AUC of `a` minus AUC of `b`; `low`, `high` and `p` are of this pair alone, `p_holm` of it among all pairs."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    p_delong: float


@dataclass(frozen=True)
class Winner:
    """`name` is None where no model is better than every other one after Holm's correction; `sentence` says so."""

    name: str | None
    sentence: str


def compare(
    models: Mapping[str, Scored], p_delong: Mapping[tuple[str, str], float], level: float = 0.95
) -> tuple[Comparison, ...]:
    """Compares every pair, in the models' order, draw by draw.

    Args:
        models: name → AUCs, all from the same draws.
        p_delong: (a, b) → DeLong's p, put beside; NaN where absent.
        level: of the intervals.
    """
    found = []
    for a, b in combinations(models, 2):
        difference = models[a].auc - models[b].auc
        low, high, p = _difference(models[a], models[b], level)
        found.append(Comparison(a, b, difference, low, high, p, np.nan, p_delong.get((a, b), np.nan)))
    return tuple(replace(c, p_holm=float(p)) for c, p in zip(found, holm([c.p for c in found]), strict=True))


def _difference(a: Scored, b: Scored, level: float) -> tuple[float, float, float]:
    drawn = a.draws - b.draws
    if np.isnan(drawn).all():
        return np.nan, np.nan, np.nan
    low, high = percentile_interval(drawn, level)
    if low < high or a.auc == b.auc:
        return low, high, two_sided_p(drawn)
    # No draw differs, as where one model orders every pair: ±0 would be untrue. The difference's limits then come from
    # the two intervals (MOVER, Zou and Donner 2008), and p follows them.
    gap = a.auc - b.auc
    low = gap - float(np.hypot(a.auc - a.low, b.high - b.auc))
    high = gap + float(np.hypot(a.high - a.auc, b.auc - b.low))
    return low, high, 1.0 if low <= 0 <= high else two_sided_p(drawn)


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
    """Names the model that beats every other one after Holm's correction, or says that none can be named."""
    if len(aucs) < 2:
        return Winner(None, "one model only: there is nothing to compare")
    alpha = 1 - level + 1e-12
    best = max(aucs, key=lambda name: aucs[name])
    rivals = {c.b if c.a == best else c.a: c for c in comparisons if best in (c.a, c.b)}
    near = [name for name, c in rivals.items() if not c.p_holm <= alpha]
    if not near:
        return Winner(best, f"{best} has the highest AUC; every difference from it excludes 0 after Holm's correction")
    if not any(c.p_holm <= alpha for c in comparisons):
        return Winner(None, "no winner can be named: no interval of a difference excludes 0 after Holm's correction")
    return Winner(
        None, f"no winner can be named: {best} has the highest AUC, but cannot be told apart from {', '.join(near)}"
    )
