"""An AUC as the audit needs it: with its interval over patients, its value in every draw, and p of chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrlens.evaluate.cluster_bootstrap import patient_draws, percentile_interval, two_sided_p
from cxrlens.evaluate.networks import Network, Validation
from cxrlens.evaluate.score import auc_interval


@dataclass(frozen=True)
class Judging:
    """How intervals are made: their level, the draws of the bootstrap over patients, its seed."""

    level: float = 0.95
    draws: int = 2000
    seed: int = 0


JUDGING = Judging()


@dataclass(frozen=True)
class Estimate:
    """A number with its interval and its value in each draw of patients, [draws]; `p` is of its being `null`."""

    value: float
    low: float
    high: float
    draws: np.ndarray
    p: float


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

    Raises:
        UserError: fewer than 2 images of a class.
    """
    kept = np.arange(len(labels)) if rows is None else np.asarray(rows)
    label, who, score = np.asarray(labels, bool)[kept], np.asarray(patients, str)[kept], np.asarray(logits, float)
    drawn = patient_draws(who, label, judging.draws, np.random.default_rng(judging.seed))
    folds = np.zeros(len(kept), int) if part is None else part
    networks = [
        Network(0, int(fold), np.flatnonzero(folds == fold), score[folds == fold], score[folds == fold])
        for fold in np.unique(folds)
    ]
    data = Validation(np.arange(len(kept)).astype(object), who, label, {"": tuple(networks)})
    value, low, high, draws = auc_interval(networks, data, drawn.weights, judging.level)
    return Estimate(value, low, high, draws, two_sided_p(draws - 0.5))


def change(before: Estimate, after: Estimate, level: float = 0.95) -> Estimate:
    """Before minus after, draw by draw on the same patients; p of 0."""
    drawn = before.draws - after.draws
    low, high = percentile_interval(drawn, level)
    return Estimate(before.value - after.value, low, high, drawn, two_sided_p(drawn))
