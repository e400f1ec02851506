"""An AUC as the audit needs it: with its interval over patients, each patient's influence, and p of chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxrlens.evaluate.auc import difference_of, interval_of
from cxrlens.evaluate.influence import Influence, mean_influence, placements


@dataclass(frozen=True)
class Judging:
    """How intervals are made: their level, and, where no formula is known, the draws of patients and their seed."""

    level: float = 0.95
    draws: int = 2000
    seed: int = 0


JUDGING = Judging()


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; `p` is of its being at its null. NaN with a `reason` where patients are too few.

    Attributes:
        value: the number.
        low: of the interval over patients.
        high: likewise.
        p: two-sided.
        influence: what each patient adds to an AUC; None of what is no AUC.
        reason: why there is no interval, else "".
        rough: whether a class has fewer than 10 patients.
    """

    value: float
    low: float
    high: float
    p: float
    influence: Influence | None = None
    reason: str = ""
    rough: bool = False


def auc_estimate(
    logits: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    judging: Judging,
    rows: np.ndarray | None = None,
    part: np.ndarray | None = None,
) -> Estimate:
    """An AUC with its interval over patients, and p of 0.5.

    Args:
        logits: finite, [m].
        labels: bool [n].
        patients: [n].
        judging: of the interval.
        rows: positions of the scored images, [m]; all where none are given.
        part: fold of each scored image, [m]; pairs are formed within a fold, whose scores alone are comparable.
    """
    kept = np.arange(len(labels)) if rows is None else np.asarray(rows)
    names, who = np.unique(np.asarray(patients).astype(str)[kept], return_inverse=True)
    label, score = np.asarray(labels, bool)[kept], np.asarray(logits, float)
    return _estimate(placements(label, score, who, len(names), part), judging.level)


def mean_estimate(found: Sequence[Estimate], level: float) -> Estimate:
    """The mean of AUCs of the same patients, and p of 0.5."""
    of = [each.influence for each in found if each.influence is not None]
    return _estimate(replace(mean_influence(of), trainings=()), level)


def change(before: Estimate, after: Estimate, level: float = 0.95) -> Estimate:
    """An AUC before minus one after, of the same patients; p of 0."""
    assert before.influence is not None and after.influence is not None, "both are AUCs"
    found = difference_of(before.influence, after.influence, level)
    rough = before.rough or after.rough
    return Estimate(found.difference, found.low, found.high, found.p, None, found.reason, rough)


def _estimate(one: Influence, level: float) -> Estimate:
    found = interval_of(one, None, level)
    return Estimate(found.auc, found.low, found.high, found.p, one, found.reason, found.rough)
