"""Occlusion: by hand and against captum."""

from __future__ import annotations

import pytest
import torch
from captum.attr import Occlusion
from torch import nn

from cxrlens.errors import UserError
from cxrlens.explain.attribute import attribute
from cxrlens.models.classifier import ModelOptions, build_classifier
from support.hand_set_networks import Formula, Layers, classifier, images


def test_a_sum_loses_what_is_covered() -> None:
    model = classifier(Layers(nn.Identity()), Formula(lambda x: x[:, 0].sum((1, 2))[:, None]))
    image = torch.tensor([[0.1, 0.1, 0.0, 0.0], [0.1, 0.1, 0.0, 0.4]]).view(1, 1, 2, 4)
    maps = attribute(model, image, "occlusion", window=2, stride=2, fill=0.0).maps[0]
    torch.testing.assert_close(maps, torch.tensor([[0.4, 0.4, 0.4, 0.4], [0.4, 0.4, 0.4, 0.4]]))
    overlapping = attribute(model, image, "occlusion", window=2, stride=1, fill=0.0).maps[0]
    torch.testing.assert_close(overlapping[0], torch.tensor([0.4, 0.3, 0.3, 0.4]))  # the mean of what covers each


def test_the_windows_grey_is_each_images_own_mean() -> None:
    model = classifier(Layers(nn.Identity()), Formula(lambda x: x[:, 0].sum((1, 2))[:, None]))
    flat = torch.tensor([0.2, 0.7]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    assert attribute(model, flat, "occlusion").maps.abs().max() < 1e-4


def test_occlusion_agrees_with_captum_where_the_windows_fit() -> None:
    model = build_classifier(ModelOptions(name="a row", backbone="resnet10t"), 32, seed=0).eval()
    batch = images(side=32)
    oracle = Occlusion(model).attribute(batch, (1, 16, 16), strides=(1, 8, 8), baselines=0.5)[:, 0]
    maps = attribute(model, batch, "occlusion", window=16, stride=8, fill=0.5, batch=5).maps
    torch.testing.assert_close(maps, oracle.float(), rtol=1e-4, atol=1e-5 * float(oracle.abs().max()))


def test_every_pixel_is_covered_also_where_the_windows_do_not_fit() -> None:
    model = classifier(Layers(nn.Identity()), Formula(lambda x: x[:, 0].sum((1, 2))[:, None]))
    maps = attribute(model, torch.ones(1, 1, 13, 10), "occlusion", window=4, stride=3, fill=0.0).maps
    torch.testing.assert_close(maps, torch.full((1, 13, 10), 16.0))


@pytest.mark.parametrize("options", [{"window": 17}, {"window": 4, "stride": 5}])
def test_windows_that_leave_the_image_or_gaps_are_refused(options: dict[str, int]) -> None:
    model = classifier(Layers(nn.Identity()), Formula(lambda x: x[:, 0].sum((1, 2))[:, None]))
    with pytest.raises(UserError, match=r"within the 16 × 16 image.*every pixel is covered"):
        attribute(model, images(), "occlusion", **options)
