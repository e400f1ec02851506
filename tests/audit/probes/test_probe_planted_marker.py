"""The audit's own control: seen where the features see the corner, said to be blind where they don't."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cxrlens.audit.case import ModelCase
from cxrlens.models.classifier import Classifier
from support.network_cases import brightened, half, mean_of, network, network_case, noise, one

COUNT, SIDE = 60, 128
CORNER, CENTRE = (slice(0, 14), slice(0, 38)), (slice(50, 80), slice(50, 80))


@pytest.fixture(scope="module")
def greys() -> np.ndarray:
    return 0.7 * brightened(noise(COUNT, side=SIDE), CENTRE, half(COUNT), spread=0.15)


def case(model: Classifier, greys: np.ndarray) -> ModelCase:
    other = np.roll(greys, 2, 0)[:, :, ::-1].copy()
    return network_case(model, greys, half(COUNT), (other, half(COUNT)))


def seeing() -> Classifier:
    """Two features: what is bright in the corner, and the centre."""

    def formula(grey: torch.Tensor) -> torch.Tensor:
        corner = (grey[:, CORNER[0], CORNER[1]] - 0.6).relu().mean((1, 2))
        return torch.stack([corner, grey[:, CENTRE[0], CENTRE[1]].mean((1, 2))], 1)

    return network(formula, 2)


def test_features_that_see_the_corner_pass_it(greys: np.ndarray) -> None:
    result = one("planted_marker", case(seeing(), greys))
    assert result.verdict == "clear" and not result.reason and result.low > 0
    assert result.evidence["both_low"] <= 0 and result.evidence["share"] == 0.7
    assert result.bar is None, "a control is no finding of a shortcut"


def test_features_that_are_blind_there_do_not_and_it_says_what_that_means(greys: np.ndarray) -> None:
    result = one("planted_marker", case(mean_of(CENTRE), greys))
    assert result.verdict == "undecided" and result.value == 0
    assert "was not detected" in result.reason and "a missing flag says little" in result.reason


def test_images_that_bear_a_mark_already_are_no_false_alarm(greys: np.ndarray) -> None:
    marked = greys.copy()
    marked[half(COUNT), 2:6, 2:30] = 0.95  # corners tell the classes apart without any marker of ours
    result = one("planted_marker", network_case(seeing(), marked, half(COUNT), (marked, half(COUNT))))
    assert result.verdict == "undecided" and "without any planted marker" in result.reason


def test_too_few_patients_are_the_reason_and_not_a_marker_that_did_not_show(greys: np.ndarray) -> None:
    few = np.flatnonzero((np.arange(COUNT) < 8) | ~half(COUNT))  # 4 positive patients
    result = one("planted_marker", network_case(seeing(), greys[few], half(COUNT)[few], (greys, half(COUNT))))
    assert result.verdict == "undecided" and result.value > 0.1 and np.isnan(result.low)
    assert "got 4 with positive" in result.reason and "did not show" not in result.reason


def test_the_images_of_the_case_are_left_as_they_were(greys: np.ndarray) -> None:
    given = case(seeing(), greys)
    before = given.pixels.clone(), given.training.pixels.clone()
    one("planted_marker", given)
    assert torch.equal(given.pixels, before[0]) and torch.equal(given.training.pixels, before[1])


def test_a_training_side_of_one_class_is_refused(greys: np.ndarray) -> None:
    given = case(seeing(), greys)
    side = replace(given.training, labels=np.zeros(COUNT, bool))
    result = one("planted_marker", replace(given, training=side))
    assert np.isnan(result.value) and result.reason
