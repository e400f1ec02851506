"""Which points are compared in networks of every kind, and what is read there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxrlens.audit.reuse.blocks import block_features, find_blocks, hooked, is_norm
from cxrlens.errors import UserError
from cxrlens.models.backbones import UNIT, Backbone
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.train.device import Device

CPU = Device("cpu", "CPU")
KINDS = ["benchmark_cnn", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "resnet50", "vgg11", "convnext_atto"]


def network(backbone: str, size: int = 64) -> Classifier:
    return build_classifier(ModelOptions(name="a row", backbone=backbone, head="linear"), size, seed=0)


def images(size: int = 64, count: int = 5) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))


def pictured(model: Classifier, cells: int = 1) -> dict[str, np.ndarray]:
    points = {each.name: each.point for each in find_blocks(model)}
    return block_features(model, points, images(model.size), CPU, cells)


@pytest.mark.parametrize("backbone", KINDS)
def test_every_network_has_a_few_points_that_end_with_the_backbones_output(backbone: str) -> None:
    model = network(backbone)
    result = pictured(model)
    assert 2 <= len(result) <= 13 and all(len(each) == 5 for each in result.values())
    with torch.no_grad():
        last = model.eval().features(images()).mean((2, 3)).numpy()
    assert list(result.values())[-1] == pytest.approx(last, abs=1e-6)
    assert all(np.ptp(each) > 0 for each in result.values())


@pytest.mark.parametrize("backbone", KINDS)
def test_every_tensor_that_runs_is_in_one_block(backbone: str) -> None:
    model = network(backbone)
    owners = [name for block in find_blocks(model) for name in block.owners]
    assert len(owners) == len(set(owners))
    model.eval()(images()).sum().backward()
    used = {
        name.rpartition(".")[0]
        for name, each in model.named_parameters()
        if name.startswith("backbone.") and each.grad is not None
    }
    assert used <= set(owners)


def test_blocks_are_named_as_the_network_names_them() -> None:
    def names(backbone: str) -> list[str]:
        return [each.name for each in find_blocks(network(backbone))]

    assert names("benchmark_cnn") == ["conv1", "conv2"]
    assert names("tf_efficientnet_lite0") == ["conv_stem", *(f"blocks.{stage}" for stage in range(7)), "conv_head"]
    assert names("vit_tiny_patch16_224") == ["patch_embed", *(f"blocks.{layer}" for layer in range(12))]
    assert names("resnet50") == ["conv1", "layer1", "layer2", "layer3", "layer4"]


def test_a_block_is_read_behind_its_normalisation_and_activation() -> None:
    points = {each.name: each.point for each in find_blocks(network("tf_efficientnet_lite0"))}
    assert points["conv_stem"] == "backbone.network.bn1"
    assert find_blocks(network("benchmark_cnn"))[0].point == "backbone.relu1"
    assert find_blocks(network("resnet50"))[0].point == "backbone.network.maxpool"


class Plain(Backbone):
    """Forty convolutions in a list, one that never runs, and a weight of its own."""

    architecture, channels = "plain", 4

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.layers = nn.ModuleList(nn.Conv2d(3 if first else 4, 4, 1) for first in [True] + [False] * 39)
        self.unused = nn.Conv2d(4, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.layers:
            images = layer(images * self.scale)
        return images


def test_a_network_of_no_known_family_is_thinned_out_and_owns_its_own_weights() -> None:
    blocks = find_blocks(Classifier(Plain(), nn.Flatten(), 32, UNIT))
    assert [each.name for each in blocks] == [f"layers.{place}" for place in range(3, 40, 4)]
    assert blocks[0].owners == ("backbone", *(f"backbone.layers.{place}" for place in range(4)))
    assert not any("unused" in name for each in blocks for name in each.owners)


def test_averages_over_a_grid_keep_where_things_are() -> None:
    model = network("benchmark_cnn")
    whole, grid = pictured(model), pictured(model, cells=2)
    assert grid["conv2"].shape == (5, 256 * 4)
    assert grid["conv2"].reshape(5, 256, 4).mean(2) == pytest.approx(whole["conv2"], abs=1e-6)


@pytest.mark.parametrize("trained", ["all", "head"])
def test_hooks_are_gone_and_modes_as_they_were(trained: str) -> None:
    model = network("tf_efficientnet_lite0")
    model.freeze_but("head" if trained == "head" else "all")
    model.train()
    modes = [each.training for each in model.modules()]
    statistics = model.backbone.network.bn1.running_mean.clone()
    pictured(model)
    with pytest.raises(ZeroDivisionError), hooked(model, ["backbone"], lambda *seen: None):
        1 / 0  # noqa: B018
    assert not any(each._forward_hooks for each in model.modules())
    assert [each.training for each in model.modules()] == modes
    assert torch.equal(statistics, model.backbone.network.bn1.running_mean)


def test_a_layer_that_gives_no_map_is_refused_and_leaves_no_hook() -> None:
    model = network("vit_tiny_patch16_224")
    with pytest.raises(UserError, match="norm' gives a 3 output an image, which is no map"):
        block_features(_with_odd_output(model), {"odd": "backbone.network.norm"}, images(), CPU)
    assert not any(each._forward_hooks for each in model.modules())


def _with_odd_output(model: Classifier) -> Classifier:
    class Odd(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return tokens[:, 0, :3]

    model.backbone.network.norm = Odd()
    return model


def test_normalisations_are_known_whoever_made_them() -> None:
    model = network("tf_efficientnet_lite0")
    assert is_norm(model.backbone.network.bn1) and is_norm(nn.LayerNorm(3)) and is_norm(nn.GroupNorm(1, 3))
    assert not is_norm(nn.Conv2d(1, 1, 1)) and not is_norm(model.backbone.network.blocks)
