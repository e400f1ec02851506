"""The layer that is explained: the paper's, any named one, tokens in their places."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cxrlens.errors import UserError
from cxrlens.explain.attribute import attribute
from cxrlens.explain.layers import as_map, default_layer, margin
from cxrlens.models.backbones import BACKBONES
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from support.hand_set_networks import Layers, classifier, images, pooled


def model(backbone: str, size: int = 96, **options: object) -> Classifier:
    return build_classifier(ModelOptions(name="a row", backbone=backbone, **options), size, seed=0).eval()


DENSE = "backbone.network.features.denseblock4.denselayer16.conv2"


@pytest.mark.parametrize(
    ("backbone", "trained", "layer", "shape", "lost"),
    [
        ("benchmark_cnn", "all", "backbone.relu2", (48, 48), (0, 0)),
        ("densenet121", "all", DENSE, (3, 3), (0, 0)),
        ("densenet121", "head", "head.0", (1, 1), (1, 1)),
        ("resnet10t", "all", "backbone", (3, 3), (0, 0)),
        ("vit_tiny_patch16_224", "head", "head.0", (4, 4), (1, 1)),
        ("vit_tiny_patch16_224", "all", "backbone", (6, 6), (0, 0)),
    ],
)
def test_the_papers_layers_are_found_and_any_other_networks_last_map(
    backbone: str, trained: str, layer: str, shape: tuple[int, int], lost: tuple[int, int]
) -> None:
    result = attribute(model(backbone, trained=trained), images(1, 96))
    assert (result.layer, tuple(result.maps.shape[1:]), result.margin) == (layer, shape, lost)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_registered_family_names_a_layer_that_has_a_map(name: str) -> None:
    result = attribute(model(name), images(1, 96))
    assert min(result.maps.shape[1:]) > 1 and result.maps.abs().max() > 0


def test_the_benchmarks_map_is_its_second_convolution_after_the_relu() -> None:
    network, batch = model("benchmark_cnn", 32), images(1, 32)
    backbone = network.backbone
    with torch.no_grad():
        second = backbone.conv2(backbone.pool(backbone.relu1(backbone.conv1(network.prepare(batch))))).relu()
    second.requires_grad_()
    slope = torch.autograd.grad(network.head(backbone.pool(second)).sum(), second)[0]
    expected = (slope.mean((2, 3), keepdim=True) * second).sum(1).detach()
    torch.testing.assert_close(attribute(network, batch).maps, expected)


def test_a_vit_block_may_be_named_and_each_token_is_where_its_patch_is() -> None:
    network = model("vit_tiny_patch16_224", head="linear")
    assert attribute(network, images(1, 96), layer="backbone.network.blocks.5").maps.shape == (1, 6, 6)
    tokens = torch.arange(37.0).view(1, 37, 1)  # one class token, then the patches row by row
    placed = as_map(tokens, nn.Identity(), network, (96, 96), "backbone.network.norm")
    assert placed[0, 0].tolist() == [[1.0 + 6 * row + column for column in range(6)] for row in range(6)]
    wide = as_map(torch.arange(9.0).view(1, 9, 1), nn.Identity(), network, (32, 64), "backbone.network.norm")
    assert wide[0, 0].tolist() == [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]


def test_channels_that_a_network_keeps_last_are_put_first() -> None:
    backbone = Layers(nn.Identity())
    backbone.output_fmt = "NHWC"
    network = classifier(backbone, nn.Flatten())
    assert as_map(torch.rand(1, 4, 5, 7), nn.LayerNorm(7), network, (8, 10), "backbone.layers.0").shape == (1, 7, 4, 5)
    assert as_map(torch.rand(1, 7, 4, 5), nn.Conv2d(1, 7, 1), network, (8, 10), "backbone.layers.0").shape[1] == 7
    assert as_map(torch.rand(1, 7, 4, 5), backbone, network, (8, 10), "backbone").shape[1] == 7


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("backbone.network.layer5", r"unknown layer .*; did you mean 'backbone.network.layer\d'"),
        ("backbone.network", "does not run in its forward pass; name another, such as 'backbone'"),
        ("head.0", "gives a 512 output an image, which is no map"),
    ],
)
def test_a_layer_without_a_map_is_refused_with_one_that_has_it(layer: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        attribute(model("resnet10t", 64, head="linear"), images(1, 64), layer=layer)


def test_only_a_head_convolution_without_padding_lacks_a_rim() -> None:
    assert margin(nn.Conv2d(1, 1, 3), "head.0") == (1, 1)
    assert margin(nn.Conv2d(1, 1, (5, 3), dilation=(1, 2)), "head.0") == (2, 2)
    assert margin(nn.Conv2d(1, 1, 3, padding=1), "head.0") == (0, 0)
    assert margin(nn.Conv2d(1, 1, 3), "backbone.conv1") == (0, 0)
    assert default_layer(pooled()) == "backbone"
