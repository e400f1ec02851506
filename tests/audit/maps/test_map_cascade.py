"""What is made random, and in which order."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cxrlens.audit.maps.sanity import Depth, depths, randomise
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier


def network(backbone: str = "resnet10t") -> Classifier:
    return build_classifier(ModelOptions(name="a row", backbone=backbone), 64, seed=0)


@pytest.mark.parametrize("backbone", ["benchmark_cnn", "resnet10t", "vit_tiny_patch16_224", "tf_efficientnet_lite0"])
def test_every_parameter_belongs_to_one_of_a_handful_of_depths(backbone: str) -> None:
    model = network(backbone)
    result = depths(model)
    held = [name for depth in result for name in depth.modules]
    expected = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    assert len(held) == len(set(held)) and set(held) == expected
    assert len(result) <= 8 and result[0].name == "the head"
    assert all(name.startswith("head") for name in result[0].modules)
    assert len({depth.name for depth in result}) == len(result)


def test_depths_go_from_the_head_to_the_image() -> None:
    assert [each.name for each in depths(network("benchmark_cnn"))] == ["the head", "conv2", "conv1"]
    expected = ["the head", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1"]
    assert [each.name for each in depths(network())] == expected


def test_a_long_row_of_blocks_is_taken_apart_and_its_neighbours_are_joined() -> None:
    result = [each.name for each in depths(network("vit_tiny_patch16_224"))]
    assert result[1] == "blocks.11 to norm" and result[-1] == "patch_embed to blocks.0"
    assert "backbone.network" in depths(network("vit_tiny_patch16_224"))[-1].modules, "its position embedding"


def test_a_depth_is_drawn_anew_alone_and_by_its_seed() -> None:
    model, depth = network(), depths(network())[2]
    changed, again, other = (copy.deepcopy(model) for _ in range(3))
    before = torch.random.get_rng_state()
    for each, seed in ((changed, 1), (again, 1), (other, 2)):
        randomise(each, depth, seed)
    assert torch.equal(before, torch.random.get_rng_state())
    moved = {
        name.rpartition(".")[0]
        for name, each in model.named_parameters()
        if not torch.equal(each, changed.get_parameter(name))
    }
    convolutions = {name for name in depth.modules if isinstance(model.get_submodule(name), nn.Conv2d)}
    assert convolutions and convolutions <= moved <= set(depth.modules)
    assert all(torch.equal(changed.get_parameter(name), each) for name, each in again.named_parameters())
    assert any(not torch.equal(changed.get_parameter(name), each) for name, each in other.named_parameters())


def test_a_batchnorm_forgets_its_statistics() -> None:
    model = network()
    result = {name: each for name, each in model.named_modules() if isinstance(each, nn.BatchNorm2d)}
    for each in result.values():
        each.running_mean.fill_(3), each.weight.data.fill_(5)
    for depth in depths(model):
        randomise(model, depth, 0)
    assert result and all(not each.running_mean.any() and (each.weight == 1).all() for each in result.values())


def test_what_has_no_start_of_its_own_keeps_its_mean_and_spread() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.one = nn.Parameter(3 + 0.5 * torch.randn(5000)), nn.Parameter(torch.tensor(2.0))

    torch.manual_seed(0)
    model = network("benchmark_cnn")
    model.head = Scale()
    before = model.head.scale.detach().clone()
    randomise(model, Depth("scale", ("head",)), 1)
    after = model.head.scale.detach()
    assert abs(float(torch.corrcoef(torch.stack([before, after]))[0, 1])) < 0.05
    assert abs(float(after.mean()) - 3) < 0.05 and abs(float(after.std()) - 0.5) < 0.03
    assert model.head.one.item() == 2
