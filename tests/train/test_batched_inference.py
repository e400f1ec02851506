"""Batched inference is one thing: the same numbers wherever images pass through a network, also in mixed precision."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import cxrlens
from cxrlens.explain.model_explanation import explain_model
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.train.device import Device, choose_device
from cxrlens.train.predict import as_tensor, mean_features, predict_batches, predict_logits, probabilities

CPU = choose_device("cpu")


@pytest.fixture(scope="module")
def model() -> Classifier:
    row = ModelOptions(name="m", backbone="tf_efficientnet_lite0", weights="random", head="linear", trained="all")
    return CPU.place(build_classifier(row, 64, 0)).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return as_tensor(np.random.default_rng(0).integers(0, 256, (19, 64, 64), dtype=np.uint8))


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixed precision as on a GPU, by the CPU's own autocast."""
    monkeypatch.setattr(Device, "autocast", lambda _: torch.autocast("cpu", torch.bfloat16))


def test_batches_give_what_each_image_alone_gives(model: Classifier, images: torch.Tensor) -> None:
    logits = predict_logits(model, images, CPU)
    with torch.inference_mode():
        alone = torch.cat([model(image[None]) for image in images]).numpy()
    np.testing.assert_allclose(logits, alone, rtol=0, atol=1e-5)
    assert logits.dtype == np.float64


def test_every_image_passes_once_in_order_and_progress_counts_them() -> None:
    seen: list[range] = []
    done: list[int] = []

    def load(rows: range) -> torch.Tensor:
        seen.append(rows)
        return torch.tensor(list(rows), dtype=torch.float32)

    outputs = predict_batches(lambda batch: 2 * batch, load, 7, CPU, batch=3, update=done.append)
    assert outputs.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert seen == [range(3), range(3, 6), range(6, 7)] and done == [3, 6, 7]
    assert predict_batches(lambda batch: batch, load, 0, CPU).shape == (0,)


@pytest.mark.usefixtures("bfloat16")
def test_means_over_places_are_float32_in_mixed_precision(model: Classifier, images: torch.Tensor) -> None:
    maps = predict_batches(model.features, lambda rows: images[rows.start : rows.stop], len(images), CPU)
    means = predict_batches(
        lambda batch: mean_features(model, batch), lambda rows: images[rows.start : rows.stop], len(images), CPU
    )
    torch.testing.assert_close(means, maps.mean((2, 3)), rtol=1e-6, atol=1e-7)
    rounded = maps.bfloat16().mean((2, 3)).float()
    assert (means - rounded).abs().max() > 1e-5, "a mean in bfloat16 would pass too: the test tests nothing"


@pytest.mark.usefixtures("bfloat16")
def test_figure_1_shows_the_probability_of_the_predictions_in_mixed_precision(
    model: Classifier, images: torch.Tensor
) -> None:
    predicted = probabilities(predict_logits(model, images, CPU))
    np.testing.assert_array_equal(explain_model("m", model, images, [], CPU).probabilities, predicted)
    with torch.inference_mode():
        full = torch.sigmoid(model(images)).numpy()
    assert np.abs(full - predicted).max() > 1e-6, "nothing was rounded: the test tests nothing"


def test_probabilities_of_far_logits_are_the_limits() -> None:
    assert probabilities(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]


def test_the_precision_of_inference_is_chosen_in_one_place() -> None:
    source = Path(cxrlens.__file__).parent
    users = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(r"\.autocast\(\)", path.read_text(encoding="utf-8"))
    }
    inference = users - {"train/feature_bank.py"}  # names the precision in its keys
    assert inference == {"train/predict.py", "train/loop.py", "pipeline/plan.py"}
