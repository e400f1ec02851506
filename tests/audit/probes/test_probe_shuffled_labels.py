"""Labels that mean nothing: what is learned from them is a leak, and only then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes.permuted_labels import mean_over_shuffles
from support.network_cases import network, network_case, one

PATIENTS = 40


def faces(patients: np.ndarray, seed: int) -> np.ndarray:
    """Images by which a patient is recognised: 8 × 8 squares of a patient's own greys, some noise."""
    squares = np.random.default_rng(7).random((2 * PATIENTS, 8, 8))[patients]
    greys = np.kron(squares, np.ones((1, 4, 4)))
    return 0.9 * greys + 0.05 * np.random.default_rng(seed).standard_normal(greys.shape)


def case(shared: bool) -> ModelCase:
    """3 training images and 2 validation images of 40 patients each, the same ones or others."""
    inside = np.repeat(np.arange(PATIENTS), 3)
    outside = np.repeat(np.arange(PATIENTS), 2) + (0 if shared else PATIENTS)
    model = network(lambda grey: adaptive_avg_pool2d(grey[:, None], 8).flatten(1), channels=64)
    return network_case(
        model, faces(outside, 1), outside % 3 == 0, (faces(inside, 2), inside % 3 == 0),
        [f"p{who}" for who in outside], [f"p{who}" for who in inside],
    )  # fmt: skip


@pytest.fixture(scope="module")
def leaking() -> ModelCase:
    return case(shared=True)


@pytest.fixture(scope="module")
def apart() -> ModelCase:
    return case(shared=False)


def test_patients_on_both_sides_are_recognised(leaking: ModelCase) -> None:
    result = one("permuted_labels", leaking)
    assert result.verdict == "flag" and result.low > 0.7
    assert result.evidence["patients_on_both_sides"] == PATIENTS and result.evidence["times"] == 30


def test_other_patients_are_not(apart: ModelCase) -> None:
    result = one("permuted_labels", apart)
    assert (
        result.verdict != "flag" and result.low < 0.5 < result.high and result.evidence["patients_on_both_sides"] == 0
    )


def test_the_interval_is_that_of_the_mean_over_the_shuffles(leaking: ModelCase) -> None:
    few, many = one("permuted_labels", leaking, times=5), one("permuted_labels", leaking, times=60)
    assert few.high - few.low > many.high - many.low > 0
    assert many.value == pytest.approx((many.low + many.high) / 2)


def test_a_network_whose_features_are_all_alike_learns_nothing_without_a_warning(apart: ModelCase) -> None:
    dead = replace(apart, model=network(lambda grey: grey[:, :1, 0] * 0))
    result = one("permuted_labels", dead)
    assert result.value == 0.5 and result.p == 1 and result.verdict != "flag"


def test_patients_recognised_every_time_are_flagged_without_a_warning(leaking: ModelCase) -> None:
    of = {who: place for place, who in enumerate(sorted(set(leaking.patients)))}

    def spots(patients: np.ndarray) -> torch.Tensor:
        """A pixel that is the patient's alone."""
        greys = torch.zeros(len(patients), 1, 8, 8)
        for row, who in enumerate(patients):
            greys.flatten(1)[row, of[who]] = 1
        return greys

    side = replace(leaking.training, pixels=spots(leaking.training.patients))
    known = replace(
        leaking, pixels=spots(leaking.patients), training=side, model=network(lambda grey: grey.flatten(1), 64)
    )
    found = one("permuted_labels", known)
    assert (found.value, found.high, found.verdict) == (1, 1, "flag")
    assert found.low == pytest.approx(0.025 ** (1 / 30)) and found.p == 2 * 0.5**30  # a bound, not 1 ± 0


def test_the_interval_over_shuffles_stays_between_0_and_1() -> None:
    value, low, high, _ = mean_over_shuffles(np.array([1.0] * 29 + [0.9]))
    assert low < value < high == 1
    assert mean_over_shuffles(np.zeros(5))[1:3] == (0, pytest.approx(1 - 0.025 ** (1 / 5)))


def test_one_patient_is_no_null(apart: ModelCase) -> None:
    alone = replace(apart, patients=np.repeat("p", len(apart.patients)))
    result = one("permuted_labels", alone)
    assert np.isnan(result.value) and "one class" in result.reason


class Nearest:
    """A training that keeps every training image by heart; what it was given is remembered."""

    def __call__(self, trained: Tensor, labels: np.ndarray, evaluated: Tensor) -> np.ndarray:
        self.trained, self.labels, self.judged = trained, labels, evaluated
        study_dir = torch.cdist(evaluated.flatten(1), trained.flatten(1)).argmin(1).numpy()
        return np.where(labels[study_dir], 1.0, -1.0) + 0.01 * np.arange(len(study_dir)) / len(study_dir)


def test_a_pipeline_that_knows_patients_is_flagged_where_they_are_on_both_sides(
    leaking: ModelCase, apart: ModelCase
) -> None:
    again = Nearest()
    result = one("permuted_labels_retrained", replace(leaking, retrain=again))
    assert result.verdict == "flag" and result.value > 0.95
    assert torch.equal(again.trained, leaking.training.pixels) and torch.equal(again.judged, leaking.pixels)
    by_patient = {who: set(again.labels[leaking.training.patients == who]) for who in leaking.training.patients}
    assert all(len(labels) == 1 for labels in by_patient.values()), "a patient has one shuffled label"
    assert sum(labels == {True} for labels in by_patient.values()) == round(leaking.training.labels.mean() * PATIENTS)
    assert not np.array_equal(again.labels, leaking.training.labels)
    assert one("permuted_labels_retrained", replace(apart, retrain=Nearest())).verdict != "flag"


def test_without_a_training_it_says_so(apart: ModelCase) -> None:
    result = one("permuted_labels_retrained", apart)
    assert np.isnan(result.value) and result.reason == "retraining was not requested"
