"""AUC a finding, and linear probes, on features that hold the answer and on features that don't."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrlens.evaluate.probe import finding_auc, linear_probe

RNG = np.random.default_rng(0)
PATIENTS = [f"p{number // 2}" for number in range(120)]
LABELS = RNG.integers(0, 2, 120).astype(float)


def test_a_findings_auc_is_scikit_learns_over_the_known_labels() -> None:
    labels, scores = LABELS.copy(), RNG.normal(size=120) + LABELS
    labels[::7] = np.nan
    known = ~np.isnan(labels)
    result = finding_auc("Mass", labels, scores, PATIENTS)
    assert result.auc == pytest.approx(roc_auc_score(labels[known], scores[known]))
    assert result.low < result.auc < result.high
    assert (result.n_positive, result.n_negative) == (int((labels == 1).sum()), int((labels == 0).sum()))


def test_too_few_of_a_class_is_said_and_nothing_is_made_up() -> None:
    result = finding_auc("Hernia", np.array([1.0, 0, 0, np.nan]), np.zeros(4), list("abcd"))
    assert np.isnan(result.auc) and "at least 2 images of each class; got 1 positive and 2 negative" in result.reason


def test_scores_of_different_folds_are_never_compared() -> None:
    labels = np.array([1.0, 0, 1, 0, 1, 0, 1, 0])
    scores = np.array([1.0, 0, 1, 0, -9, -10, -9, -10])  # each fold in order, the two on other scales
    result = finding_auc("Mass", labels, scores, list("abcdefgh"), np.repeat([0, 1], 4))
    assert result.auc == 1 and roc_auc_score(labels, scores) < 1


def test_a_probe_finds_what_is_in_the_features_and_nothing_else() -> None:
    noise = RNG.normal(size=(120, 20))
    output = noise.copy()
    output[:, 3] += 3 * LABELS
    assert linear_probe("told", output, LABELS, PATIENTS).auc > 0.9
    assert 0.3 < linear_probe("noise", noise, LABELS, PATIENTS).auc < 0.7


def test_a_probe_never_sees_the_patient_that_it_scores() -> None:
    """Features that name the patient and nothing else: with a patient's other image in training they would tell all."""
    patients = [f"p{number // 6}" for number in range(120)]
    labels = np.repeat(RNG.permutation(np.repeat([0.0, 1.0], 10)), 6)
    names = np.eye(20)[np.repeat(np.arange(20), 6)] + RNG.normal(scale=0.01, size=(120, 20))
    assert linear_probe("who", names, labels, patients).auc < 0.75


def test_a_probe_of_one_patient_a_class_has_no_auc() -> None:
    result = linear_probe("x", RNG.normal(size=(4, 3)), np.array([1.0, 0, np.nan, 0]), list("abcd"))
    assert np.isnan(result.auc)
