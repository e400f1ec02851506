"""Linear probes of frozen features (Alain and Bengio 2016, arXiv:1610.01644), and the AUC of each finding.

A linear probe is a logistic regression on the features of a trained network. A finding is a radiological finding, such
as an output of a multi-label network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrlens.data.grouping import patient_folds
from cxrlens.evaluate.auc import interval_of, no_auc_reason
from cxrlens.evaluate.influence import placements

C = 0.01  # inverse strength of the penalty, strong because features outnumber images


@dataclass(frozen=True)
class FindingAuc:
    """A finding's AUC with its interval by patients; NaN with a `reason` where a class has too few images."""

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
        finding: name of the finding.
        labels: 1, 0 or NaN (left out), [n].
        scores: score of each image, higher means more positive, [n].
        patients: patient of each image, [n].
        folds: fold of each image, int [n], where each fold was scored by another model: scores are then compared within
            a fold only.
        level: confidence level of the interval, between 0 and 1.
    """
    known = ~np.isnan(labels)
    positive, score = labels[known] == 1, scores[known].astype(float)
    strata = None if folds is None else folds[known]
    names, patient_numbers = np.unique(np.asarray(patients, dtype=str)[known], return_inverse=True)
    counts = (level, int(positive.sum()), int((~positive).sum()), len(names))
    if reason := no_auc_reason(positive, strata):
        return FindingAuc(finding, np.nan, np.nan, np.nan, *counts, reason=reason)
    estimate = interval_of(placements(positive, score, patient_numbers, len(names), strata), positive, level)
    return FindingAuc(finding, estimate.auc, estimate.low, estimate.high, *counts, estimate.rough, estimate.reason)


def linear_probe(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str],
    folds: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> FindingAuc:
    """The AUC of a penalised logistic regression on standardised features, cross-validated by patient.

    Args:
        name: name of the finding that is probed.
        features: features of each image, float [n, d].
        labels: 1, 0 or NaN (left out), [n].
        patients: patient of each image, [n]; all images of a patient are in one fold.
        folds: number of folds; fewer where a class has fewer patients.
        seed: seed of the folds.
        level: confidence level of the interval, between 0 and 1.
    """
    known = np.flatnonzero(~np.isnan(labels))
    x, y, known_patients = features[known], labels[known].astype(int), np.asarray(patients, dtype=str)[known]
    scores, fold_of = probe_scores(x, y, known_patients, folds, seed)
    return finding_auc(name, labels[known], scores, known_patients.tolist(), fold_of, level)


def probe_scores(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each image's score by the probe of the other folds, and its fold, both [n]; folds are by patient.

    Args:
        x: features, float [n, d].
        y: labels, 1 or 0, [n].
        patients: patient of each image, [n].
        folds: number of folds; fewer where a class has fewer patients.
        seed: seed of the folds.
    """
    fold_of = patient_folds(patients, y, folds, seed)
    return fold_scores(x, y, fold_of, logistic), fold_of


def fitted_probe(x: np.ndarray, y: np.ndarray) -> Any:
    """The probe, fitted to features [n, d] and labels 1 or 0, [n]; its `decision_function` gives logits."""
    return logistic().fit(x, y)


def logistic(strength: float = C) -> Any:
    """A new logistic regression on standardised features; a smaller `strength` is a stronger penalty."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def fold_scores(x: np.ndarray, y: np.ndarray, fold_of: np.ndarray, make: Callable[[], Any]) -> np.ndarray:
    """Each image's score by a classifier fitted on the other folds, [n]; 0 where those folds hold one class only.

    Args:
        x: features, float [n, d].
        y: labels, 1 or 0, [n].
        fold_of: fold of each image, [n]; scores of different folds are not comparable.
        make: function that returns a new scikit-learn classifier.
    """
    scores = np.zeros(len(y))
    for fold in np.unique(fold_of):
        train, test = fold_of != fold, fold_of == fold
        if len(np.unique(y[train])) == 2:
            model = make().fit(x[train], y[train])
            if hasattr(model, "decision_function"):
                scores[test] = model.decision_function(x[test])
            else:
                scores[test] = model.predict_proba(x[test])[:, 1]
    return scores
