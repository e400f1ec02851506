"""The loop: resumed is uninterrupted, faults are told, and a bank of features changes nothing."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cxrlens.data.augment import Augmentation
from cxrlens.data.cache import ImageCache
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier, seeded
from cxrlens.train import inputs as inputs_module
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import BankInputs, FixedImages, LabelledImages, PixelInputs, choose_inputs
from cxrlens.train.loop import Fit, train
from cxrlens.train.order import Order
from cxrlens.train.training_options import TrainingOptions

SIZE = 64
FLIP = Augmentation(horizontal_flip=True)


@pytest.fixture(scope="module")
def images() -> LabelledImages:
    rng = np.random.default_rng(0)
    labels = np.array([1, 0, 0, 1, 1, 0, 1, 1, 0, 1], np.float32)
    pixels = rng.integers(0, 200, (10, SIZE, SIZE)).astype(np.uint8)
    pixels[labels == 1, :16] += 50  # a bright band to learn
    names = tuple(f"{number}.png" for number in range(10))
    cache = ImageCache(pixels, {name: row for row, name in enumerate(names)}, {}, pd.DataFrame())
    return LabelledImages(cache, names, labels)


def a_fit(images: LabelledImages, checkpoint: Path | None = None, **changes) -> Fit:
    row = ModelOptions(name="a row", backbone="tf_efficientnet_lite0", trained="all", head="linear")
    model = build_classifier(changes.pop("row", row), SIZE, seed=0)
    options = TrainingOptions(batch=4, epochs=3, **changes.pop("options", {}))
    fit = Fit(model, images, images, options, FLIP, 0, 0, choose_device("cpu"), checkpoint, "this study", "a row")
    return replace(fit, **changes)


class InterruptAt:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    @contextmanager
    def task(self, title: str, total: int):
        yield self

    def update(self, done: int, total: int | None = None, **shown: object) -> None:
        if done == self.step and "loss" in shown:
            signal.raise_signal(signal.SIGINT)

    def say(self, line: str) -> None:
        pass


@pytest.mark.parametrize("step", [2, 3, 7, 9])  # 9 is the last
def test_resumed_is_uninterrupted_bit_by_bit(images: LabelledImages, tmp_path: Path, step: int) -> None:
    straight = a_fit(images)
    expected = train(straight)
    stopped = a_fit(images, tmp_path / "c.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, InterruptAt(step))
    resumed = a_fit(images, tmp_path / "c.safetensors")
    history = train(resumed)
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    for name, tensor in straight.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_the_signal_handlers_are_put_back(images: LabelledImages) -> None:
    before = signal.getsignal(signal.SIGINT)
    train(a_fit(images))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_checkpoint_of_another_training_is_refused(images: LabelledImages, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(a_fit(images, tmp_path / "c.safetensors"), InterruptAt(2))
    with pytest.raises(UserError, match=r"another study, model, data or version.*delete"):
        train(a_fit(images, tmp_path / "c.safetensors", identity="that study"))


def test_a_damaged_checkpoint_is_refused_and_left_alone(images: LabelledImages, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(a_fit(images, path), InterruptAt(2))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged"):
        train(a_fit(images, path))
    assert path.exists()


def test_only_what_trains_is_in_a_checkpoint(images: LabelledImages, tmp_path: Path) -> None:
    row = ModelOptions(name="a row", backbone="tf_efficientnet_lite0", trained="head", head="linear")
    with pytest.raises(KeyboardInterrupt):
        train(a_fit(images, tmp_path / "c.safetensors", row=row), InterruptAt(2))
    names = set(load_file(tmp_path / "c.safetensors"))
    assert {name for name in names if name.startswith("model.")} == {"model.head.1.weight", "model.head.1.bias"}


def test_it_learns_what_can_be_learned(images: LabelledImages) -> None:
    fit = a_fit(images, row=ModelOptions(name="a row"), options={"learning_rate": 1e-3, "steps": 12})
    history = train(fit)
    assert list(history) == ["epoch", "loss", "auc", "validation_loss", "validation_auc"]
    assert history["validation_auc"].iloc[-1] == 1 and history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert not fit.model.training


def test_a_loss_that_is_not_a_number_stops_with_a_diagnosis(images: LabelledImages) -> None:
    fit = a_fit(images)
    torch.nn.init.constant_(fit.model.head[-1].weight, float("nan"))
    with pytest.raises(UserError, match=r"loss is nan at step 1.*learning_rate"):
        train(fit)


def test_out_of_memory_names_the_batch(images: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(Classifier, "forward", full)
    with pytest.raises(UserError, match="no memory left at batch 4"):
        train(a_fit(images))


def test_features_computed_once_are_the_features(images: LabelledImages) -> None:
    row = ModelOptions(name="a row", backbone="tf_efficientnet_lite0", trained="head", head="linear")
    model, device = build_classifier(row, SIZE, 0), choose_device("cpu")
    banked = choose_inputs(model, images, FLIP, 1000, device)
    assert isinstance(banked, BankInputs)
    order = Order(10, 4, 0, 0)
    for step in range(4):
        given = order.rows(step), order.parameters(step, FLIP)
        with torch.no_grad():
            direct = PixelInputs(model.train(), images, device).logits(*given)
            torch.testing.assert_close(banked.logits(*given), direct, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("augmentation", "draws", "trained"),
    [(Augmentation(brightness=(0.5, 1.2)), 1000, "head"), (FLIP, 20, "head"), (FLIP, 1000, "all")],
)
def test_no_bank_where_it_would_be_endless_dearer_or_wrong(images, augmentation, draws: int, trained: str) -> None:
    row = ModelOptions(name="a row", backbone="tf_efficientnet_lite0", trained=trained, head="linear")
    inputs = choose_inputs(build_classifier(row, SIZE, 0), images, augmentation, draws, choose_device("cpu"))
    assert isinstance(inputs, PixelInputs)


def test_images_too_many_to_bank_are_looked_at_one_by_one(images: LabelledImages, monkeypatch) -> None:
    row = ModelOptions(name="a row", backbone="tf_efficientnet_lite0", trained="head", head="linear")
    model, device = build_classifier(row, SIZE, 0), choose_device("cpu")
    banked = FixedImages(model, images, device)
    monkeypatch.setattr(inputs_module, "BANK_LIMIT", 1000)
    direct = FixedImages(model, images, device)
    assert banked._features is not None and direct._features is None
    np.testing.assert_allclose(banked.logits(), direct.logits(), rtol=1e-4, atol=1e-5)
    assert isinstance(choose_inputs(model, images, FLIP, 1000, device), PixelInputs)


def test_a_pass_sees_every_image_once_and_its_last_batch_is_short() -> None:
    order = Order(10, 4, seed=1, fold=0)
    for start in (0, 3):
        batches = [order.rows(start + step).tolist() for step in range(3)]
        assert [len(rows) for rows in batches] == [4, 4, 2] and sorted(row for rows in batches for row in rows) == list(
            range(10)
        )
    assert order.rows(0).tolist() != order.rows(3).tolist() != Order(10, 4, 2, 0).rows(3).tolist()


def test_steps_an_epoch_are_a_pass_or_as_asked() -> None:
    assert TrainingOptions(batch=16).steps_an_epoch(193) == 13  # the paper's
    assert TrainingOptions(batch=16, steps=125).steps_an_epoch(193) == 125


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="device 'cuda:99' cannot be used"):
        choose_device("cuda:99")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").name == "cpu"


def pooled_norm() -> Classifier:
    """A network whose BatchNorm sees a 1 × 1 map, as the attention of SK-ResNets does."""
    row = ModelOptions(name="a row", backbone="benchmark_cnn", head="linear")
    model = build_classifier(row, SIZE, 0)
    with seeded(0):
        model.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(256, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 1)
        )
    return model


def some(images: LabelledImages, count: int) -> LabelledImages:
    return replace(images, images=images.images[:count], labels=images.labels[:count])


@pytest.mark.parametrize("count", [5, 9])
def test_a_last_batch_of_one_image_joins_the_one_before_where_the_network_cannot_take_it_alone(images, count) -> None:
    fit = replace(a_fit(images), model=pooled_norm(), data=some(images, count))  # batch 4
    seen = [Order(count, 4, 0, 0, join_last=True).rows(step).tolist() for step in range(count // 4)]
    assert [len(rows) for rows in seen] == [4] * (count // 4 - 1) + [5]
    assert sorted(row for rows in seen for row in rows) == list(range(count))
    assert len(train(fit)) == fit.options.epochs


def test_a_network_that_can_be_trained_on_one_image_keeps_its_short_last_batch(images, monkeypatch) -> None:
    """The paper's 193 images in batches of 16 are such a case: its numbers stay what they are."""
    rows: list[int] = []
    original = Order.rows
    monkeypatch.setattr(Order, "rows", lambda self, step: rows.append(len(got := original(self, step))) or got)
    train(replace(a_fit(images), data=some(images, 5), augmentation=Augmentation()))
    assert set(rows) == {4, 1}


def test_a_training_with_a_joined_batch_resumes_to_the_same_bits(images, tmp_path: Path) -> None:
    def fit(path: Path | None) -> Fit:
        return replace(a_fit(images), model=pooled_norm(), data=some(images, 9), checkpoint=path, identity="x")

    whole = fit(None)
    train(whole)
    stopped = fit(tmp_path / "checkpoint.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(stopped, InterruptAt(3))
    resumed = fit(tmp_path / "checkpoint.safetensors")
    train(resumed)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_a_batch_of_one_is_refused_before_any_step_where_a_norm_would_see_one_value(images) -> None:
    model = pooled_norm()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    options = TrainingOptions(batch=1, epochs=1)
    with pytest.raises(UserError, match=r"a training step of 1 image .* use a larger batch"):
        train(replace(a_fit(images), model=model, options=options))
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    train(replace(a_fit(images), options=options))  # a network without such a layer can


def test_one_thread_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert choose_device("cpu").title == "CPU, 1 thread"
