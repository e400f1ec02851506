"""Adebayo's known truth on small ReLU CNNs: gradients and Grad-CAM pass, guided backpropagation fails."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from cxrlens.audit.maps.sanity import DECIDES, Sanity, sanity
from cxrlens.audit.maps.similarity import MEASURES
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import mean_over_patients
from cxrlens.models.backbones import UNIT, Backbone
from cxrlens.models.classifier import Classifier
from cxrlens.models.heads import GlobalAveragePool

IMAGES = 12


class Small(Backbone):
    architecture, channels = "small", 32

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(of, 32, 3, padding=1) for of in (3, 32, 32))
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        first = self.pool(self.relu(self.conv1(images)))
        return self.relu(self.conv3(self.pool(self.relu(self.conv2(first)))))


def task(seed: int, count: int = 128, side: int = 32) -> tuple[Tensor, Tensor]:
    """Soft grounds with three bright boxes; every second image has a dark disc, which is its label."""
    draws = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    images = np.zeros((count, 1, side, side), np.float32)
    for number, image in enumerate(images):
        ground = ndimage.gaussian_filter(draws.normal(size=(side, side)), 2.5)
        image[0] = ground / np.abs(ground).max() * 0.15 + 0.4
        for _ in range(3):
            (y, x), (high, wide) = draws.integers(5, side - 5, 2), draws.integers(2, 5, 2)
            image[0, (abs(rows - y) < high) & (abs(columns - x) < wide)] += 0.25
        y, x = draws.integers(6, side - 6, 2)
        if number % 2:
            image[0, (rows - y) ** 2 + (columns - x) ** 2 < 10] -= 0.35
    return torch.from_numpy(images.clip(0, 1)), torch.arange(count) % 2.0


@cache
def trained(seed: int) -> tuple[Classifier, Tensor]:
    images, labels = task(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Classifier(Small(), nn.Sequential(GlobalAveragePool(), nn.Linear(32, 1)), 32, UNIT)
        steps = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(60):
            some = torch.randint(len(images), (32,))
            loss = nn.functional.binary_cross_entropy_with_logits(model(images[some]), labels[some])
            steps.zero_grad()
            loss.backward()
            steps.step()
    model.zero_grad()
    return model.eval(), images[:IMAGES]


def checked(method: str, seed: int, networks: int = 8) -> Sanity:
    model, images = trained(seed)
    return sanity(model, images, np.arange(IMAGES), method, np.random.default_rng(seed), networks=networks)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gradients_and_grad_cam_need_what_was_learned_and_guided_backpropagation_does_not(seed: int) -> None:
    model, images = trained(seed)
    labels = torch.arange(IMAGES) % 2 == 1
    with torch.no_grad():
        assert ((model(images) > 0) == labels).float().mean() > 0.8, "there must be something to forget"
    result = {method: checked(method, seed) for method in ("saliency", "grad_cam", "guided_backprop")}
    assert {method: each.passes for method, each in result.items()} == {
        "saliency": True,
        "grad_cam": True,
        "guided_backprop": False,
    }
    for where in ("half", "full"):
        means = {method: getattr(each, where).mean for method, each in result.items()}
        assert means["guided_backprop"] > 0.1 + max(means["saliency"], means["grad_cam"])


def test_the_record_holds_every_depth_and_measure() -> None:
    result = checked("saliency", 1, networks=3)
    assert [each.name for each in result.depths] == ["the head", "conv3", "conv2", "conv1"]
    assert [each.networks for each in result.depths] == [1, 3, 1, 3] and result.halfway == 1
    assert all(tuple(each.similarity) == tuple(each.excess) == MEASURES for each in result.depths)
    for each in result.depths:
        difference = each.similarity[DECIDES].mean - each.random_pairs[DECIDES].mean
        assert each.excess[DECIDES].mean == pytest.approx(difference)
    assert result.images == IMAGES and result.other_images[DECIDES].images == IMAGES
    assert (
        result.depths[0].similarity["spearman_absolute"].mean > result.depths[-1].similarity["spearman_absolute"].mean
    )


def test_the_model_is_left_as_found_and_the_generator_settles_everything() -> None:
    model, _ = trained(1)
    before, flags = {name: each.clone() for name, each in model.state_dict().items()}, torch.random.get_rng_state()
    assert checked("grad_cam", 1, 2) == checked("grad_cam", 1, 2)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert torch.equal(flags, torch.random.get_rng_state())
    assert all(each.grad is None for each in model.parameters())


def test_the_interval_decides() -> None:
    result = checked("saliency", 1, 2)
    around = mean_over_patients(np.zeros(4), np.arange(4), np.random.default_rng(0))

    def with_excess(half: tuple[float, float], full: tuple[float, float]) -> bool | None:
        ends = {result.halfway: half, len(result.depths) - 1: full}
        new = [
            replace(each, excess={DECIDES: replace(around, low=ends[place][0], high=ends[place][1])})
            if place in ends
            else each
            for place, each in enumerate(result.depths)
        ]
        return replace(result, depths=tuple(new)).passes

    assert with_excess((-0.3, 0.3), (-0.05, 0.09)) is True
    assert with_excess((-0.3, 0.3), (-0.05, 0.11)) is None
    assert with_excess((-0.3, 0.3), (0.11, 0.2)) is False
    assert with_excess((0.11, 0.2), (-0.05, 0.09)) is False
    assert with_excess((np.nan, np.nan), (np.nan, np.nan)) is None


def test_a_network_that_gives_no_map_is_undecided() -> None:
    model = Classifier(Small(), nn.Sequential(GlobalAveragePool(), nn.Linear(32, 1)), 32, UNIT).eval()
    nn.init.zeros_(model.head[1].weight)
    result = sanity(model, trained(1)[1][:3], np.arange(3), "saliency", np.random.default_rng(0), networks=2)
    assert result.passes is None and result.full.images == 0


def test_what_maps_share_whatever_the_image_is_no_excess() -> None:
    """A linear network's gradient is one for all images, and like a random one's at the rim."""

    class Linear(Small):
        def forward(self, images: Tensor) -> Tensor:
            return self.conv1(images)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier(Linear(), nn.Sequential(GlobalAveragePool(), nn.Linear(32, 1)), 32, UNIT).eval()
    result = sanity(model, trained(1)[1][:4], np.arange(4), "saliency", np.random.default_rng(0), networks=3)
    assert result.full.mean == pytest.approx(0, abs=1e-9) and result.passes
    assert result.other_images[DECIDES].mean == pytest.approx(1)
    assert abs(result.depths[-1].similarity[DECIDES].mean - 1) > 0.1


def test_one_random_network_is_too_few() -> None:
    with pytest.raises(UserError, match="at least 2 random networks; got 1"):
        checked("saliency", 1, networks=1)
