"""The loop on networks whose best picture is known, and what holds for every run."""

from __future__ import annotations

import os
import signal
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import (
    PRESETS,
    MaximizationInterrupted,
    MaximizationResult,
    MaximizeOptions,
    Objective,
    Unit,
    maximize,
)
from cxrlens.explain.activation_maximization.parametrizations import Fourier, Pixels
from cxrlens.models.backbones import Backbone, Preprocessing
from cxrlens.models.classifier import Classifier
from cxrlens.progress import Silent
from support.maximized_networks import Like, Weigh, classifier, small

SIZE = 16
ROWS = torch.arange(float(SIZE))[:, None].expand(SIZE, SIZE)
SECOND = [Objective.channel("second", 3), Objective.channel("second", 5)]
KERAS_VIS = PRESETS["keras-vis"]
PLAIN = MaximizeOptions(transforms=(), iterations=200)
SHORT = PRESETS["modern"].model_copy(update={"iterations": 5})


def plus(options: MaximizeOptions, **changes: object) -> MaximizeOptions:
    return MaximizeOptions.model_validate(options.model_copy(update=changes).model_dump())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_linear_unit_s_picture_is_bright_where_its_weights_have_the_sign_asked_for(sign: float) -> None:
    pattern = torch.where(ROWS % 8 < 4, 0.01, -0.01).expand(3, SIZE, SIZE)
    options = plus(KERAS_VIS, tv=0.0, lp=0.0, iterations=40)
    result = maximize(classifier(Weigh(pattern), SIZE), sign * Objective.channel("scores", 0), options)
    assert ((result.pictures[0] > 0.5) == (sign * pattern > 0).numpy()).all()
    assert (np.diff(result.curve[0]) > 0).all()


@pytest.mark.parametrize("colour", ["decorrelated", "rgb", "grey"])
def test_a_unit_that_likes_one_picture_gets_it(colour: str) -> None:
    target = 0.5 + 0.3 * torch.sin(2 * torch.pi * ROWS / SIZE).expand(3, SIZE, SIZE)
    options = plus(PLAIN, parametrization=Fourier(colour=colour))
    channels = [Objective.channel("distance", number) for number in range(3)]
    result = maximize(classifier(Like(target), SIZE), channels[0] + channels[1] + channels[2], options)
    np.testing.assert_allclose(result.pictures[0], target.numpy(), atol=0.03)
    assert -1e-3 < result.activations[0] <= 0


def test_the_model_s_own_preprocessing_lies_between_the_picture_and_the_network() -> None:
    target = torch.full((3, SIZE, SIZE), 0.4)  # in the network's own units: (x - 0.5) / 0.25, so x = 0.6
    model = classifier(Like(target), SIZE, Preprocessing((0.5,) * 3, (0.25,) * 3))
    result = maximize(model, Objective.channel("distance", 0), plus(PLAIN, parametrization=Fourier(colour="grey")))
    np.testing.assert_allclose(result.pictures[0], 0.6, atol=0.02)


def test_keras_vis_on_a_linear_unit_takes_the_steps_by_hand() -> None:
    pattern = torch.where(ROWS % 2 == 0, 0.01, -0.01).expand(3, SIZE, SIZE)
    options = plus(KERAS_VIS, tv=0.0, lp=0.0, iterations=4, snapshots=(0,))
    result = maximize(classifier(Weigh(pattern), SIZE), Objective.channel("scores", 0), options, seeds=(7,))
    start = KERAS_VIS.parametrization.start(SIZE, np.random.default_rng(0))
    assert start.shape == result.raw[0].shape
    length = sum(1 / (1 - 0.95**number) ** 0.5 for number in range(1, 5))
    per_step = pattern.abs().sum().item() * np.diff([0, *(1 / (1 - 0.95**n) ** 0.5 for n in range(1, 4))]).cumsum()
    np.testing.assert_allclose(np.diff(result.curve[0]), per_step, rtol=1e-3)
    end = (torch.from_numpy(result.raw[0]) * pattern).sum().item()
    assert end - result.curve[0, 0] == pytest.approx(length * pattern.abs().sum().item(), rel=1e-3)


class Nothing(Backbone):
    channels = 1
    architecture = "nothing"

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.out(0 * images[:, :1, :1, :1])


def test_descending_tv_and_lp_alone_goes_through_the_known_losses() -> None:
    options = plus(KERAS_VIS, iterations=7)
    result = maximize(classifier(Nothing(), 224), Objective.logit(), options, seeds=(0, 1))
    np.testing.assert_allclose(result.loss.mean(0), [6454, 3184, 1661, 849, 414, 214, 156], rtol=0.01)


class ArrayImages(Like):
    """Keeps what it was given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = [*getattr(self, "seen", []), images.detach()]
        return super().forward(images)


@pytest.mark.parametrize(("preset", "mean"), [("keras-vis", 127.5), ("keras-vis-scaled", 0.5), ("modern", 0.5)])
def test_each_preset_enters_the_network_in_its_own_range(preset: str, mean: float) -> None:
    model = classifier(ArrayImages(torch.zeros(3, SIZE, SIZE)), SIZE)
    result = maximize(model, Objective.channel("distance", 0), plus(PRESETS[preset], iterations=2))
    assert model.backbone.seen[0].mean().item() == pytest.approx(mean, rel=0.02)
    torch.testing.assert_close(model.backbone.seen[-1], torch.from_numpy(result.pictures))  # as shown, fed back
    assert result.pictures.min() >= 0 and result.pictures.max() <= 1


def test_wrapping_moves_the_picture_itself_and_is_never_undone() -> None:
    model = classifier(ArrayImages(torch.zeros(3, 40, 40)), 40)
    still = Objective(units=(Unit(layer="distance", weight=0.0),))
    result = maximize(model, still, plus(KERAS_VIS, wrap=0.1, tv=0.0, lp=0.0, iterations=6, keep="last"))
    start, *later = model.backbone.seen[0], *model.backbone.seen[1:6]
    moves = [(y, x) for y in range(-24, 25) for x in range(-24, 25)]
    places = [next(m for m in moves if torch.equal(torch.roll(start[0], m, (1, 2)), each[0])) for each in later]
    steps = np.diff([(0, 0), *places], axis=0)
    assert (abs(steps) <= 4).all() and len({*places}) > 3
    np.testing.assert_array_equal(result.raw, model.backbone.seen[5])


class Falling(Nothing):
    """Whatever it is given, its output goes 0, 1, 5, 2, 3: the best iteration is the third."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = [*getattr(self, "seen", []), images.detach()]
        pull = 1e-3 * (images - images.detach()).sum((1, 2, 3), keepdim=True)
        return self.out(pull + [0.0, 1.0, 5.0, 2.0, 3.0, 9.0][len(self.seen) - 1])


@pytest.mark.parametrize(("keep", "which"), [("best", 2), ("after best", 3), ("last", None)])
def test_the_picture_kept_is_that_of_the_lowest_loss_or_the_one_after_or_the_last(keep: str, which: int | None) -> None:
    model = classifier(Falling(), SIZE)
    options = plus(KERAS_VIS, tv=0.0, lp=0.0, iterations=5, keep=keep)
    result = maximize(model, Objective.channel("out", 0), options)
    assert result.curve[0].tolist() == pytest.approx([0, 1, 5, 2, 3], abs=1e-3)
    selected = [index for index, seen in enumerate(model.backbone.seen[:5]) if np.array_equal(seen.numpy(), result.raw)]
    assert selected == ([] if which is None else [which])


def arrays(result: MaximizationResult) -> dict[str, np.ndarray]:
    return {each.name: value for each in fields(result) if isinstance(value := getattr(result, each.name), np.ndarray)}


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_same_call_gives_the_same_bits_whatever_the_global_generators_do(preset: str) -> None:
    options, model = plus(PRESETS[preset], iterations=5, snapshots=(0, 2)), small()
    first = arrays(maximize(model, SECOND, options, seeds=(0, 1)))
    torch.rand(3), np.random.default_rng().random()
    second = arrays(maximize(model, SECOND, options, seeds=(0, 1)))
    assert len(first) == 6
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_seed_alone_gives_the_picture_that_it_gives_in_a_batch(preset: str) -> None:
    options = plus(PRESETS[preset], iterations=5)
    together = maximize(small(), SECOND, options, seeds=(4, 9, 2))
    assert together.seeds == (4, 9, 2, 4, 9, 2) and together.objectives[3] == SECOND[1]
    assert together.titles()[4] == "second 5, seed 9"
    alone = maximize(small(), SECOND[1], options, seeds=(9,))
    np.testing.assert_allclose(alone.pictures[0], together.pictures[4], atol=2e-3)
    np.testing.assert_allclose(alone.curve[0], together.curve[4], rtol=1e-3, atol=1e-4)
    split = maximize(small(), SECOND, plus(options, batch=2), seeds=(4, 9, 2))
    np.testing.assert_allclose(split.pictures, together.pictures, atol=2e-3)
    assert abs(together.pictures[0] - together.pictures[1]).max() > 0.02  # seeds differ


def test_what_is_shown_is_measured_and_above_where_it_began() -> None:
    options = plus(PRESETS["modern"], iterations=20, snapshots=(0, 20))
    result = maximize(small(), SECOND, options, seeds=(0, 1))
    assert result.activations.shape == (4,) and (result.activations > result.curve[:, 0]).all()
    assert result.snapshots.shape == (4, 2, 3, 24, 24) and result.snapshot_iterations == (0, 20)
    np.testing.assert_array_equal(result.snapshots[:, 1], result.pictures)
    np.testing.assert_array_equal(result.loss, -result.curve)


def test_the_model_and_the_global_generators_are_left_as_they_were_found() -> None:
    model = small().train()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    seed, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    maximize(model, SECOND, SHORT)
    assert model.training and not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None and each.requires_grad for each in model.parameters())
    assert (np.random.get_state()[1] == seed).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


class Bars(Silent):
    """Notes what a bar is told, and may press Ctrl-C."""

    def __init__(self, press_at: int | None = None) -> None:
        self.press_at, self.told = press_at, []

    def task(self, title: str, total: int) -> Bars:
        self.title, self.total = title, total
        return self

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, done: int, total: int | None = None, **shown: object) -> None:
        self.told.append(done)
        if done == self.press_at:
            os.kill(os.getpid(), signal.SIGINT)


def test_progress_counts_every_iteration_of_every_batch() -> None:
    bars = Bars()
    maximize(small(), SECOND, plus(SHORT, batch=1), progress=bars)
    assert bars.told == list(range(1, 11)) and bars.total == 10
    assert bars.title == "maximizing second 3 and 1 more"


def test_ctrl_c_keeps_what_was_computed() -> None:
    options = plus(SHORT, batch=1, snapshots=(1, 5))
    with pytest.raises(MaximizationInterrupted) as stopped:
        maximize(model := small(), SECOND, options, seeds=(0, 1), progress=Bars(press_at=7))
    selected, whole = stopped.value.result, maximize(small(), SECOND, options, seeds=(0, 1))
    assert selected.seeds == (0, 1) and np.isfinite(selected.activations).all()
    np.testing.assert_array_equal(selected.pictures[0], whole.pictures[0])
    np.testing.assert_array_equal(selected.curve[1, :2], whole.curve[1, :2])
    assert np.isnan(selected.curve[1, 2:]).all() and np.isnan(selected.snapshots[1, 1]).all()
    np.testing.assert_array_equal(selected.snapshots[1, 0], whole.snapshots[1, 0])
    assert not any(module._forward_hooks for module in model.modules())


def test_weights_that_are_not_finite_are_told_with_the_unit() -> None:
    model: Classifier = small()
    model.backbone.second.weight.data.fill_(torch.nan)
    with pytest.raises(UserError, match="second 3: the loss is not finite at iteration 0"):
        maximize(model, SECOND, SHORT)


@pytest.mark.parametrize(("objectives", "seeds"), [([], (0,)), (SECOND, ()), (SECOND, (1, 1)), (SECOND, (-1,))])
def test_nothing_to_do_or_seeds_that_are_none_are_told(objectives: list[Objective], seeds: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"needs at least one objective|seeds must be different whole numbers"):
        maximize(small(), objectives, SHORT, seeds=seeds)


def test_pixels_of_zero_to_255_are_not_transformed() -> None:
    assert plus(SHORT, parametrization=Pixels(divided_by=255.0)).transforms
