"""Features of frozen backbones: computed once, shared, whole or rebuilt, and the same bits however they came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cxrlens.data.augment import Augmentation, Parameters
from cxrlens.data.cache import ImageCache
from cxrlens.errors import UserError
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.models.heads import HEADS, head_input
from cxrlens.train import feature_bank
from cxrlens.train.device import choose_device
from cxrlens.train.feature_bank import backbone_key, features_folder, stored_features
from cxrlens.train.inputs import BankInputs, LabelledImages, PixelInputs, choose_inputs, drawn_views, prediction_table
from cxrlens.train.loop import Fit, train
from cxrlens.train.order import Order, Views
from cxrlens.train.training_options import TrainingOptions

SIZE, CPU = 96, choose_device("cpu")
FLIP = Augmentation(horizontal_flip=True)
PAPER = Augmentation(horizontal_flip=True, brightness=(0.5, 1.2))


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXRLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def images() -> LabelledImages:
    rng = np.random.default_rng(0)
    names = tuple(f"{number}.png" for number in range(19))
    pixels = rng.integers(0, 256, (19, SIZE, SIZE)).astype(np.uint8)
    cache = ImageCache(pixels, {name: row for row, name in enumerate(names)}, {}, pd.DataFrame())
    return LabelledImages(cache, names, np.arange(19, dtype=np.float32) % 2)


def some(images: LabelledImages, rows: slice) -> LabelledImages:
    return replace(images, images=images.images[rows], labels=images.labels[rows])


def network(seed: int = 0, head: str = "conv", **changes) -> Classifier:
    options = {"weights": "efficientnet-lite0-imagenet", "trained": "head", "head": head} | changes
    return build_classifier(ModelOptions(name="a row", backbone="tf_efficientnet_lite0", **options), SIZE, seed)


def a_fit(images: LabelledImages, seed: int = 0, views: int | None = 3, **changes) -> Fit:
    model = changes.pop("model", None) or network(seed, **changes.pop("network", {}))
    options = TrainingOptions(batch=8, epochs=2, steps=5)
    fit = Fit(model, images, some(images, slice(5)), options, PAPER, seed, 0, CPU, None, "id", "a row", views=views)
    return replace(fit, **changes)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the images that pass a backbone."""
    original, passed = Classifier.features, []

    def features(self: Classifier, pixels: torch.Tensor) -> torch.Tensor:
        passed.append(len(pixels))
        return original(self, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "features", features)
        yield passed


def same_weights(one: Classifier, other: Classifier) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize(("augmentation", "views"), [(FLIP, None), (PAPER, 3)])
def test_another_seed_passes_no_image_through_the_backbone(images, monkeypatch, augmentation, views) -> None:
    changes = {"augmentation": augmentation, "views": views}
    with counted(monkeypatch) as first:
        train(a_fit(images, 0, **changes))
    fit = a_fit(images, 1, **changes)
    with counted(monkeypatch) as second:
        train(fit)
        prediction_table(fit.model, images, CPU, "a row", 1, 0, ["P"] * 19)
    assert sum(first) >= 2 * 19
    assert sum(second) in (0, 16 + 3)  # without a flip among the views, the training images were not seen unaltered


def test_a_fold_computes_only_the_images_that_no_other_fold_did(images, monkeypatch) -> None:
    train(a_fit(some(images, slice(0, 16)), validation=None))
    with counted(monkeypatch) as passed:
        train(a_fit(some(images, slice(3, 19)), validation=None))
    assert sum(passed) == 16  # 3 views of 3 images, in a full batch


def test_more_views_keep_the_earlier_ones(images, monkeypatch) -> None:
    few, more = (Views(images.images, PAPER, count) for count in (3, 5))
    assert more.of(7)[:3] == few.of(7) and len({*more.of(7), *more.of(8)}) == 10
    train(a_fit(images, views=3, validation=None))
    with counted(monkeypatch) as passed:
        train(a_fit(images, views=5, validation=None))
    assert sum(passed) == 48  # 2 views of 19 images, in 3 batches


def test_the_views_of_an_image_depend_on_nothing_but_its_name_and_the_augmentation(images) -> None:
    whole, part = Views(images.images, PAPER, 4), Views(images.images[5:], PAPER, 4)
    assert whole.of(6) == part.of(1) != whole.of(7)
    drawn = {
        order.views.of(row)[number]
        for seed in (0, 1)
        for order in [Order(19, 8, seed, seed, views=whole)]
        for row in range(19)
        for number in range(4)
    }
    for seed in (0, 1):
        order = Order(19, 8, seed, seed, views=whole)
        assert {*order.parameters(3, PAPER)} <= drawn
    first, second = (Order(19, 8, seed, 0, views=whole) for seed in (0, 1))
    assert first.parameters(0, PAPER) != second.parameters(0, PAPER)  # the choice is the seed's own
    assert first.parameters(4, PAPER) == Order(19, 8, 0, 0, views=whole).parameters(4, PAPER)


def test_every_view_of_an_image_is_chosen_equally_often(images) -> None:
    order = Order(19, 19, 0, 0, views=Views(images.images, PAPER, 4))
    chosen = [
        order.views.of(row).index(parameters)
        for step in range(60)
        for row, parameters in zip(order.rows(step).tolist(), order.parameters(step, PAPER), strict=True)
    ]
    assert np.bincount(chosen, minlength=4) / len(chosen) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("head", ["conv", "linear", "dense"])
def test_the_head_on_features_gives_the_logits_and_gradients_of_the_whole_network(images, head: str) -> None:
    model = CPU.place(network(head=head))
    views = Views(images.images, PAPER, 3)
    banked = choose_inputs(model, images, PAPER, 1000, CPU, views=views)
    assert isinstance(banked, BankInputs)
    order, trained = Order(19, 8, 0, 0, views=views), [*model.head.parameters()]
    rows, parameters = order.rows(2), order.parameters(2, PAPER)
    for one, other in zip(
        *(
            [logits, *torch.autograd.grad(logits.sum(), trained)]
            for logits in (inputs.logits(rows, parameters) for inputs in (banked, PixelInputs(model, images, CPU)))
        ),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "form"), [("conv", "windows"), ("linear", "mean"), ("dense", "map")])
def test_what_a_head_needs_of_a_map_gives_its_output(name: str, form: str) -> None:
    head, maps = HEADS[name](6, 5, 4), torch.rand(3, 6, 5, 4)
    needed = head_input(head)
    assert needed.form == form
    torch.testing.assert_close(needed.output(needed.of(maps)), head(maps))


def test_a_head_with_an_activation_before_its_pooling_gets_the_whole_map() -> None:
    conv, pool, dense = HEADS["conv"](6, 5, 4)
    for layers in ([conv, torch.nn.ReLU(), pool, dense], [torch.nn.Conv2d(6, 64, 3, padding=1), pool, dense]):
        assert head_input(torch.nn.Sequential(*layers)).form == "map"


def test_a_resumed_training_gives_the_same_bits_also_if_the_bank_is_gone(images, tmp_path, monkeypatch) -> None:
    class InterruptAt:
        @contextmanager
        def task(self, title: str, total: int):
            yield self

        def update(self, done: int, total: int | None = None, **shown: object) -> None:
            if done == 4 and "loss" in shown:
                signal.raise_signal(signal.SIGINT)

        def say(self, line: str) -> None:
            pass

    whole = a_fit(images)
    history = train(whole)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(a_fit(images, checkpoint=checkpoint), InterruptAt())
    monkeypatch.setenv("CXRLENS_CACHE", str(tmp_path / "empty"))
    train(a_fit(some(images, slice(2, 9)), validation=None))  # another training has filled part of it
    resumed = a_fit(images, checkpoint=checkpoint)
    pd.testing.assert_frame_equal(train(resumed), history, check_exact=True)
    assert same_weights(whole.model, resumed.model)


def test_features_from_disk_in_any_order_are_those_of_an_empty_cache(images, tmp_path, monkeypatch) -> None:
    """The exact bank, whose last batch of three images rounds differently from a batch of 16."""
    train(a_fit(some(images, slice(4, 19)), augmentation=FLIP, views=None))
    second = a_fit(images, augmentation=FLIP, views=None)
    history = train(second)
    monkeypatch.setenv("CXRLENS_CACHE", str(tmp_path / "empty"))
    alone = a_fit(images, augmentation=FLIP, views=None)
    pd.testing.assert_frame_equal(train(alone), history, check_exact=True)
    assert same_weights(alone.model, second.model)


def test_networks_that_see_the_images_otherwise_share_nothing() -> None:
    keys = {
        backbone_key(network(**changes), form, CPU)
        for changes, form in [
            ({}, "map"),
            ({}, "mean"),
            ({"weights": "random"}, "map"),
            ({"preprocessing": "unit"}, "map"),
            ({"weights": "random", "batchnorm_epsilon": 0.01}, "map"),
        ]
    }
    assert len(keys) == 5
    assert backbone_key(network(0), "map", CPU) == backbone_key(network(1, head="linear"), "map", CPU)
    model = network()
    model.set_preprocessing(Preprocessing((0.5,) * 3, (0.25,) * 3))
    assert backbone_key(model, "map", CPU) not in keys


def test_altered_pixels_are_other_images(images, monkeypatch) -> None:
    train(a_fit(images, validation=None))
    pixels = images.cache.pixels.copy()
    pixels[4, 0, 0] ^= 1
    altered = replace(images, cache=replace(images.cache, pixels=pixels))
    with counted(monkeypatch) as passed:
        train(a_fit(altered, validation=None))
    assert sum(passed) == 16  # 3 views of one image, in a full batch


# The store itself: items are letters, and the features of one are its code.


def codes(items: str, computed: list[str] | None = None):
    def compute(missing: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        for position in missing:
            if computed is not None:
                computed.append(items[position])
            yield [position], np.full((1, 3, 2), ord(items[position]), np.float32)

    return compute


def store(items: str, computed: list[str] | None = None, memory_limit: int = 1000) -> list[float]:
    return [float(row.mean()) for row in stored_features("key", [*items], codes(items, computed), memory_limit)]


def test_each_item_is_computed_once() -> None:
    computed: list[str] = []
    assert store("abca", computed) == [97, 98, 99, 97] and store("dab", computed) == [100, 97, 98]
    assert computed == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("features.npy", lambda file: file.write_bytes(file.read_bytes()[:-1] + b"!")),
        ("features.npy", lambda file: file.write_bytes(file.read_bytes()[:-30])),
        ("features.npy", lambda file: file.unlink()),
        ("features.npy", lambda file: file.write_bytes(b"<html>")),
        ("items.npy", lambda file: file.write_bytes(b"")),
        ("items.npy", lambda file: file.unlink()),
    ],
)
def test_damaged_features_are_computed_again(name: str, damage) -> None:
    store("ab")
    (segment,) = features_folder().glob("key/segment-*")
    damage(segment / name)
    computed: list[str] = []
    assert store("ba", computed) == [98, 97] and sorted(computed) == ["a", "b"]
    assert not segment.exists() and len([*features_folder().glob("key/segment-*")]) == 1


def test_a_killed_writer_leaves_only_whole_features(tmp_path: Path) -> None:
    program = """
import os, signal, sys
import numpy as np
from cxrlens.train import feature_bank

feature_bank.SEGMENT_SECONDS = 0
def compute(missing):
    for position in missing:
        if position == 2:
            write = np.lib.format.write_array
            def half(file, *rest, **options):
                file.write(b"half"); file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            np.lib.format.write_array = half
        yield [position], np.full((1, 3, 2), 97 + position, np.float32)
feature_bank.stored_features("key", ["a", "b", "c"], compute, 1000)
"""
    killed = subprocess.run([sys.executable, "-c", program], env=dict(os.environ), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len([*features_folder().glob("key/part-*")]) == 1
    computed: list[str] = []
    assert store("abc", computed) == [97, 98, 99] and computed == ["c"]
    assert not [*features_folder().glob("key/part-*")]


def test_of_two_that_need_the_same_features_one_computes_them() -> None:
    computed: list[str] = []
    results: list[list[float]] = []

    def slow(missing: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        time.sleep(0.1)
        yield from codes("ab", computed)(missing)

    def work() -> None:
        results.append([float(row.mean()) for row in stored_features("key", ["a", "b"], slow, 1000)])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[97, 98]] * 3 and computed == ["a", "b"]


def test_without_room_on_the_disk_features_stay_in_memory_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    store("a")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_bank, "_write_segment", full)
    assert store("abc") == [97, 98, 99]
    with pytest.raises(UserError, match=r"cannot keep features in .*No space left.*CXRLENS_CACHE"):
        store("abc", memory_limit=30)


def test_a_cache_that_cannot_be_made_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CXRLENS_CACHE", str(tmp_path / "file"))
    assert store("ab") == [97, 98]


def test_the_least_recently_used_features_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, age in (("old", 300), ("older", 600), ("new", 0)):
        stored_features(key, ["a"], codes("a"), 1000)
        for segment in features_folder().glob(f"{key}/segment-*"):
            os.utime(segment, (time.time() - age,) * 2)
    size = sum(file.stat().st_size for file in features_folder().glob("new/segment-*/*"))
    monkeypatch.setattr(feature_bank, "DISK_LIMIT", 3 * size)
    stored_features("next", ["b"], codes("b"), 1000)
    assert {folder.parent.name for folder in features_folder().glob("*/segment-*")} == {"old", "new", "next"}


def test_own_features_that_are_not_needed_make_room_and_those_that_are_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for item in "ab":
        store(item)
    for segment in features_folder().glob("key/segment-*"):
        os.utime(segment, (time.time() - 300,) * 2)
    size = sum(file.stat().st_size for file in segment.glob("*"))
    monkeypatch.setattr(feature_bank, "DISK_LIMIT", 2 * size)
    computed: list[str] = []
    assert store("ac", computed) == [97, 99] and store("ac", computed) == [97, 99] and computed == ["c"]
    assert store("b", computed) == [98] and computed == ["c", "b"]


def test_views_that_take_too_much_room_are_refused_with_what_to_do(images, monkeypatch) -> None:
    monkeypatch.setattr(feature_bank, "DISK_LIMIT", 10_000)
    with pytest.raises(UserError, match=r"a row: the features of its views would take .* use fewer views"):
        train(a_fit(images))


@pytest.mark.parametrize(
    ("trained", "augmentation", "count"), [("all", PAPER, 4), ("head", FLIP, 4), ("head", PAPER, None)]
)
def test_views_are_for_frozen_backbones_and_continuous_augmentation(images, trained, augmentation, count) -> None:
    model = network(trained=trained, head="linear")
    assert drawn_views(model, images, augmentation, count) is None


def test_the_parameters_of_a_view_are_those_that_were_applied(images) -> None:
    """A bright and a dark view of an image have features of their own."""
    model = CPU.place(network(head="linear"))
    views = Views(images.images, Augmentation(brightness=(0.2, 1.8)), 2)
    banked = choose_inputs(model, images, views.augmentation, 1000, CPU, views=views)
    one, other = (banked.logits(np.array([3]), [parameters]).item() for parameters in views.of(3))
    assert one != pytest.approx(other, abs=1e-4) and Parameters() not in views.of(3)
