"""What moved and what did not: a frozen trunk, one changed block, networks of several seeds."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from cxrlens.audit.reuse.blocks import block_features, find_blocks
from cxrlens.audit.reuse.cka import distance, patient_means
from cxrlens.audit.reuse.reuse_results import all_pairs, between, change, compare, final_features, summarise
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.train.device import Device

CPU = Device("cpu", "CPU")
PATIENTS = [str(image // 2) for image in range(16)]
KINDS = ["benchmark_cnn", "tf_efficientnet_lite0", "vit_tiny_patch16_224"]


def network(backbone: str, seed: int = 0, trained: str = "all") -> Classifier:
    return build_classifier(ModelOptions(name="a row", backbone=backbone, head="linear", trained=trained), 64, seed)


def images() -> Tensor:
    return torch.rand(16, 1, 64, 64, generator=torch.Generator().manual_seed(0))


def trained(model: Classifier) -> Classifier:
    """Two steps away, statistics and all."""
    after = copy.deepcopy(model).train()
    optimizer = torch.optim.Adam([each for each in after.parameters() if each.requires_grad], 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        after(images()).square().sum().backward()
        optimizer.step()
    return after


@pytest.mark.parametrize("backbone", KINDS)
def test_a_frozen_trunk_is_exactly_1_and_exactly_0_statistics_included(backbone: str) -> None:
    before = network(backbone, trained="head")
    for block in compare(before, trained(before), images(), PATIENTS, CPU):
        assert (block.cka, block.low, block.high) == (1.0, 1.0, 1.0)
        known = [each for each in (block.weights, block.batchnorm, block.statistics) if not np.isnan(each)]
        assert known and known == [0.0] * len(known)


@pytest.mark.parametrize("backbone", KINDS)
def test_training_moves_every_block(backbone: str) -> None:
    before = network(backbone)
    result = compare(before, trained(before), images(), PATIENTS, CPU)
    assert all(block.cka < 1 and block.weights > 0 for block in result)
    if backbone == "tf_efficientnet_lite0":
        assert all(block.batchnorm > 0 and block.statistics > 0 for block in result)
    if backbone == "vit_tiny_patch16_224":
        assert (
            all(block.batchnorm > 0 for block in result[1:]) and np.isnan([block.statistics for block in result]).all()
        )


@pytest.mark.parametrize(
    "backbone,changed", [("tf_efficientnet_lite0", "blocks.4"), ("vit_tiny_patch16_224", "blocks.7")]
)
def test_one_changed_block_shows_there_and_not_before(backbone: str, changed: str) -> None:
    before = network(backbone)
    after = copy.deepcopy(before)
    with torch.no_grad():
        for each in after.backbone.network.get_submodule(changed).parameters():
            each.add_(torch.randn(each.shape, generator=torch.Generator().manual_seed(1)))
    result = compare(before, after, images(), PATIENTS, CPU)
    place = [block.block for block in result].index(changed)
    assert all(block.cka == 1 and block.weights == 0 for block in result[:place])
    assert all(block.cka < 0.999 for block in result[place:])
    assert [block.block for block in result if block.weights > 0 or block.batchnorm > 0] == [changed]


def test_weights_batchnorm_and_statistics_are_told_apart_by_hand() -> None:
    before = network("tf_efficientnet_lite0")
    after = copy.deepcopy(before)
    stem, one, other = find_blocks(before)[0], before.backbone.network.bn1, after.backbone.network.bn1
    with torch.no_grad():
        other.weight.mul_(1.5)  # ones before, shifts zeros
    result = distance(before, after, stem)
    assert (result.weights, result.batchnorm, result.statistics) == (0, pytest.approx(0.5), 0)
    with torch.no_grad():
        one.running_mean.fill_(3.0)
        one.running_var.fill_(4.0)
        other.running_mean.fill_(3.0 + 2.0)
        other.running_var.fill_(4.0 - 1.0)
        after.backbone.network.conv_stem.weight.mul_(-1)
        other.num_batches_tracked.add_(1000)
    result = distance(before, after, stem)
    assert result.weights == pytest.approx(2) and result.batchnorm == pytest.approx(0.5)
    assert result.statistics == pytest.approx((5 / 25) ** 0.5)


def test_what_was_0_before_has_no_relative_distance() -> None:
    before = network("benchmark_cnn")
    torch.nn.init.zeros_(before.backbone.conv1.weight)
    result = distance(before, network("benchmark_cnn", seed=1), find_blocks(before)[0])
    assert np.isnan([result.weights, result.batchnorm, result.statistics]).all()


def test_several_seeds_are_averaged_each_with_its_spread() -> None:
    befores = [network("benchmark_cnn", seed) for seed in range(3)]
    changes = [change(before, trained(before), images(), PATIENTS, CPU) for before in befores]
    alone = [summarise([each])[0] for each in changes]
    together = summarise(changes)[0]
    assert together.cka == pytest.approx(np.mean([each.cka for each in alone]))
    assert together.weights == pytest.approx(np.mean([each.weights for each in alone]))
    assert not alone[0].over_seeds and list(together.over_seeds) == ["cka", "weights"]  # no BatchNorm there
    assert together.low <= together.cka <= together.high <= 1
    spread = together.over_seeds["cka"]
    assert spread.seeds == 3 and spread.low <= together.cka <= spread.high <= 1


def test_two_models_are_compared_by_the_final_features_of_the_same_patients() -> None:
    one, other = network("benchmark_cnn"), network("tf_efficientnet_lite0")
    final = [final_features(model, images(), PATIENTS, CPU) for model in (one, other)]
    assert final[0].shape == (8, 256) and final[1].shape == (8, 1280)
    assert between([final[0]], [final[0]]).value == 1
    result = between([final[0]], [final[1]])
    assert result.low < result.value < result.high < 1 and result.patients == 8
    assert between([final[0]] * 2, final).value == pytest.approx((1 + result.value) / 2)


def test_all_pairs_of_blocks_are_a_table_with_ones_where_blocks_are_the_same() -> None:
    model = network("tf_efficientnet_lite0")
    points = {each.name: each.point for each in find_blocks(model)}
    seen = {name: patient_means(each, PATIENTS) for name, each in block_features(model, points, images(), CPU).items()}
    table = all_pairs(seen, dict(list(seen.items())[:3]))
    assert table.shape == (9, 3) and table[[0, 1, 2], [0, 1, 2]].tolist() == [1, 1, 1] and table.max() == 1


def test_three_patients_are_too_few() -> None:
    model = network("benchmark_cnn")
    with pytest.raises(UserError, match="at least 4 points"):
        compare(model, model, images()[:3], list("abc"), CPU)
