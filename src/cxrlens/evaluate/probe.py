"""Linear probes: what logistic regression reads off frozen features (Alain and Bengio 2016, arXiv:1610.01644)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrlens.data.grouping import patient_folds
from cxrlens.evaluate.auc import interval_of, without_auc
from cxrlens.evaluate.influence import placements

# AUC of each finding of a multi-label network, with an interval by patients.


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


C = 0.01  # strength of the penalty: features outnumber images


def linear_probe(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str],
    folds: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> FindingAuc:
    """The AUC of a penalised logistic regression on standardised features, by folds that keep patients apart.

    Args:
        name: of what is probed.
        features: float [n, d].
        labels: 1, 0 or NaN (left out), [n].
        patients: of each image; a patient is in one fold.
        folds: at most so many; fewer where a class has fewer patients.
        seed: of the folds.
        level: of the interval.
    """
    known = np.flatnonzero(~np.isnan(labels))
    x, y, who = features[known], labels[known].astype(int), np.asarray(patients, dtype=str)[known]
    scores, part = probe_scores(x, y, who, folds, seed)
    return finding_auc(name, labels[known], scores, who.tolist(), part, level)


def probe_scores(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The probe's score and fold of each image, both [n]: of labels 1 or 0, by folds that keep patients apart."""
    part = patient_folds(patients, y, folds, seed)
    return fold_scores(x, y, part, logistic), part


def fitted_probe(x: np.ndarray, y: np.ndarray) -> Any:
    """The probe itself, fitted to features [n, d] and labels 1 or 0, [n]; its `decision_function` gives logits."""
    return logistic().fit(x, y)


def logistic(strength: float = C) -> Any:
    """Logistic regression on standardised features; a smaller strength is a stronger penalty."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def fold_scores(x: np.ndarray, y: np.ndarray, part: np.ndarray, make: Callable[[], Any]) -> np.ndarray:
    """Scores of each fold's images by a classifier fitted on the other folds, [n]; 0 where those hold one class only.

    Args:
        x: float [n, d].
        y: 1 or 0, [n].
        part: fold of each image, [n]. Scores of different folds are not comparable.
        make: a new scikit-learn classifier.
    """
    scores = np.zeros(len(y))
    for fold in np.unique(part):
        inside, outside = part != fold, part == fold
        if len(np.unique(y[inside])) == 2:
            model = make().fit(x[inside], y[inside])
            if hasattr(model, "decision_function"):
                scores[outside] = model.decision_function(x[outside])
            else:
                scores[outside] = model.predict_proba(x[outside])[:, 1]
    return scores
