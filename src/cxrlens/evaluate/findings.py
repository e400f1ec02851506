"""AUC of each finding of a multi-label network, with an interval by patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrlens.data.seeds import generator
from cxrlens.evaluate.cluster_bootstrap import patient_draws
from cxrlens.evaluate.networks import Network, Validation
from cxrlens.evaluate.score import auc_interval, without_auc


@dataclass(frozen=True)
class FindingAuc:
    """A finding's AUC with its interval by patients; NaN with a `reason` where there are too few images of a class."""

    finding: str
    auc: float
    low: float
    high: float
    level: float
    n_positive: int
    n_negative: int
    patients: int
    reason: str = ""


def finding_auc(
    finding: str,
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[str],
    folds: np.ndarray | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> FindingAuc:
    """The AUC over the images whose label is known.

    Args:
        finding: what it is called.
        labels: 1, 0 or NaN, [n].
        scores: higher means more positive, [n].
        patients: of each image.
        folds: int [n] where several models scored a fold each: scores are then compared within a fold only.
        level: of the interval.
        draws: of the bootstrap over patients.
        seed: of the draws.
    """
    known = ~np.isnan(labels)
    positive, score, who = labels[known] == 1, scores[known].astype(float), np.asarray(patients, dtype=str)[known]
    part = np.zeros(len(score), dtype=int) if folds is None else folds[known]
    networks = tuple(
        Network(0, int(fold), np.flatnonzero(part == fold), score[part == fold], score[part == fold])
        for fold in np.unique(part)
    )
    counts = (level, int(positive.sum()), int((~positive).sum()), len(np.unique(who)))
    if reason := without_auc(networks, positive):
        return FindingAuc(finding, np.nan, np.nan, np.nan, *counts, reason)
    data = Validation(np.arange(len(score)), who, positive, {finding: networks})
    weights = patient_draws(who, positive, draws, generator(seed)).weights
    auc, low, high, _ = auc_interval(networks, data, weights, level)
    return FindingAuc(finding, auc, low, high, *counts)
