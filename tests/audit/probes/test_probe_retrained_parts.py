"""A training on a part of every image: what it is given, and what is said of what it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cxrlens.audit.case import ModelCase
from support.network_cases import CENTRE, CORNER, brightened, half, lungs, mean_of, network_case, noise, one

COUNT = 80
NAME = "lungs_removed_retrained"


class Mean:
    """A training that learns by how much the classes' mean images differ; what it was given is remembered."""

    def __call__(self, trained: Tensor, labels: np.ndarray, evaluated: Tensor) -> np.ndarray:
        self.trained, self.labels, self.judged = trained, labels, evaluated
        weights = trained[labels].mean(0) - trained[~labels].mean(0)
        return (evaluated * weights).flatten(1).sum(1).double().numpy()


@pytest.fixture
def case() -> Callable[[tuple[slice, slice]], ModelCase]:
    def of(place: tuple[slice, slice]) -> ModelCase:
        greys = [brightened(noise(COUNT, seed), place, half(COUNT), seed + 1) for seed in (0, 10)]
        return network_case(mean_of(place), greys[0], half(COUNT), (greys[1], half(COUNT)), retrain=Mean())

    return of


def test_what_is_outside_the_lungs_is_learned_and_flagged(case: Callable[..., ModelCase]) -> None:
    result = one(NAME, case(CORNER))
    assert result.verdict == "flag" and result.value > 0.9
    assert result.evidence == {"trained": COUNT, "images": COUNT, "lungs": "masks"}


def test_where_the_lungs_were_the_answer_nothing_is_left(case: Callable[..., ModelCase]) -> None:
    result = one(NAME, case(CENTRE))
    assert result.verdict != "flag" and result.low < 0.5


def test_both_sides_are_given_without_lungs_in_one_grey(case: Callable[..., ModelCase]) -> None:
    given = case(CENTRE)
    one(NAME, given)
    again, hole = given.retrain, torch.from_numpy(given.lungs.masks[0])
    assert isinstance(again, Mean) and np.array_equal(again.labels, given.training.labels)
    for seen, whole in ((again.trained, given.training.pixels), (again.judged, given.pixels)):
        both = torch.cat([given.training.pixels, given.pixels])
        assert seen[:, 0, hole].unique().item() == pytest.approx(float(both.mean()))
        assert torch.equal(seen[:, 0, ~hole], whole[:, 0, ~hole])


def test_images_whose_lungs_nobody_knows_are_left_out(case: Callable[..., ModelCase]) -> None:
    given = case(CORNER)
    some = replace(lungs(COUNT), known=np.arange(COUNT) < 60)
    result = one(NAME, replace(given, lungs=some, training=replace(given.training, lungs=some)))
    assert result.evidence["trained"] == result.evidence["images"] == 60
    assert isinstance(given.retrain, Mean) and len(given.retrain.judged) == len(given.retrain.labels) == 60


def test_a_training_side_whose_lungs_are_known_of_one_class_alone_is_refused(case: Callable[..., ModelCase]) -> None:
    given = case(CORNER)
    some = replace(lungs(COUNT), known=given.training.labels)
    result = one(NAME, replace(given, training=replace(given.training, lungs=some)))
    assert np.isnan(result.value) and result.reason.startswith("in training, masks exist for 40 of 40 positive and 0")


def test_without_a_training_it_says_so(case: Callable[..., ModelCase]) -> None:
    result = one(NAME, replace(case(CORNER), retrain=None))
    assert np.isnan(result.value) and result.reason == "retraining was not requested"


def test_borders_are_given_alone_and_what_they_tell_is_flagged(case: Callable[..., ModelCase]) -> None:
    given = case(CORNER)
    result = one("border_only_retrained", given)
    assert result.verdict == "flag" and result.value > 0.9
    assert isinstance(given.retrain, Mean) and len(given.retrain.judged[:, 0, 20:44, 20:44].unique()) == 1
    assert one("border_only_retrained", case(CENTRE)).verdict != "flag"


def test_lungs_are_given_alone_and_never_flagged(case: Callable[..., ModelCase]) -> None:
    given = case(CENTRE)
    result = one("lungs_only_retrained", given)
    assert result.verdict == "clear" and result.value > 0.9
    assert isinstance(given.retrain, Mean) and len(given.retrain.judged[:, 0, :20].unique()) == 1
    assert one("lungs_only_retrained", case(CORNER)).verdict == "undecided"
