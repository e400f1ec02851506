"""AUC of each finding of a multi-label network, with an interval by patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrlens.evaluate.auc import interval_of, without_auc
from cxrlens.evaluate.influence import placements


@dataclass(frozen=True)
class FindingAuc:
    """A finding's AUC with its interval by patients; NaN with a `reason` where there are too few of a class."""

    finding: str
    auc: float
    low: float
    high: float
    level: float
    n_positive: int
    n_negative: int
    patients: int
    rough: bool = False
    reason: str = ""


def finding_auc(
    finding: str,
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[str],
    folds: np.ndarray | None = None,
    level: float = 0.95,
) -> FindingAuc:
    """The AUC over the images whose label is known.

    Args:
        finding: what it is called.
        labels: 1, 0 or NaN, [n].
        scores: higher means more positive, [n].
        patients: of each image.
        folds: int [n] where several models scored a fold each: scores are then compared within a fold only.
        level: of the interval.
    """
    known = ~np.isnan(labels)
    positive, score, who = labels[known] == 1, scores[known].astype(float), np.asarray(patients, dtype=str)[known]
    part = None if folds is None else folds[known]
    names, of_image = np.unique(who, return_inverse=True)
    counts = (level, int(positive.sum()), int((~positive).sum()), len(names))
    if reason := without_auc(positive, part):
        return FindingAuc(finding, np.nan, np.nan, np.nan, *counts, reason=reason)
    one = interval_of(placements(positive, score, of_image, len(names), part), positive, level)
    return FindingAuc(finding, one.auc, one.low, one.high, *counts, one.rough, one.reason)
