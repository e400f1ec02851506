"""The paper's models: shapes and counts of paper.md, and frozen means frozen."""

from __future__ import annotations

import copy

import pytest
import torch

from cxrlens.errors import UserError
from cxrlens.models.backbones import BACKBONES
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.classifier import ModelOptions, build_classifier, count_parameters


def classifier(size: int = 64, **options):
    return build_classifier(ModelOptions(name="a row", **options), size, seed=0)


def test_the_benchmark_is_the_papers_layer_by_layer() -> None:
    model = classifier(224)
    by_hand = (3 * 9 + 1) * 32 + (32 * 9 + 1) * 256 + (56 * 56 * 256 + 1) * 128 + 129
    assert count_parameters(model) == (by_hand, by_hand)
    with torch.no_grad():
        features = model.features(torch.rand(1, 1, 224, 224))
    assert features.shape == (1, 256, 56, 56)
    assert [type(layer).__name__ for layer in model.head] == ["Flatten", "Linear", "ReLU", "Linear"]


def test_the_frozen_densenet_has_the_papers_parameters_and_head() -> None:
    model = classifier(224, backbone="densenet121", trained="head")
    assert count_parameters(model) == (7_543_809, 589_953)
    statistics = sum(each.numel() for name, each in model.named_buffers() if "running" in name)
    assert 7_543_809 + statistics == 7_627_457  # as Keras counts
    with torch.no_grad():
        features = model.eval().features(torch.rand(1, 1, 224, 224))
        assert features.shape == (1, 1024, 7, 7) and features.min() >= 0  # after the last ReLU
        assert model.head[0](features).shape == (1, 64, 5, 5)


def test_vgg16_ends_after_its_last_pooling_without_the_dense_top() -> None:
    model = classifier(224, backbone="vgg16", trained="head")
    assert count_parameters(model) == (14_714_688 + 512 * 64 * 9 + 64 + 65, 512 * 64 * 9 + 64 + 65)
    with torch.no_grad():
        assert model.eval().features(torch.rand(1, 1, 224, 224)).shape == (1, 512, 7, 7)


def test_training_all_layers_takes_the_papers_smaller_head() -> None:
    model = classifier(backbone="densenet121", trained="all")
    assert count_parameters(model) == (6_953_856 + 1025, 6_953_856 + 1025)


def test_glorot_kernels_stay_within_their_bound_and_biases_are_zero() -> None:
    conv = classifier().backbone.conv2
    bound = (6 / (32 * 9 + 256 * 9)) ** 0.5
    assert 0.95 * bound < conv.weight.abs().max() <= bound
    assert not conv.bias.any()


@pytest.mark.parametrize("backbone", ["densenet121", "tf_efficientnet_lite0", "resnet18"])
def test_a_frozen_backbone_moves_no_weight_and_no_statistic(backbone: str) -> None:
    model = classifier(96, backbone=backbone, trained="head").train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.rand(4, 1, 96, 96)).sum().backward()
        optimizer.step()
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith("head.") for name in moved)


def test_training_all_layers_moves_statistics_too() -> None:
    model = classifier(backbone="resnet18", trained="all").train()
    before = model.backbone.network.bn1.running_mean.clone()
    model(torch.rand(4, 1, 64, 64))
    assert not torch.equal(before, model.backbone.network.bn1.running_mean)


def test_only_the_named_modules_train_and_only_their_statistics_move() -> None:
    model = classifier(96, backbone="resnet18", trained=("layer4",)).train()
    assert {
        name.split(".")[2] for name, each in model.backbone.named_parameters(prefix="backbone") if each.requires_grad
    } == {"layer4"}
    before = copy.deepcopy(model.state_dict())
    model(torch.rand(4, 1, 96, 96))
    moved = {name for name, each in model.state_dict().items() if not torch.equal(before[name], each)}
    assert moved and all(name.startswith("backbone.network.layer4.") for name in moved)
    assert set(before) - set(model.trained_state()) == {
        name for name in before if not name.startswith(("head.", "backbone.network.layer4."))
    }


def test_a_module_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"no module 'layer5'.*layer4"):
        classifier(96, backbone="resnet18", trained=("layer5",))


def test_a_misspelt_backbone_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'densenet121'"):
        build_backbone("densnet121", 64)


@pytest.mark.parametrize("name", [*BACKBONES, "resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_every_family_gives_a_map_and_one_logit_an_image_batched_or_not(name: str) -> None:
    size = 224 if name.startswith("swin") else 96
    model = classifier(size, backbone=name, head="linear").eval()
    images = torch.rand(2, 1, size, size)
    with torch.no_grad():
        features = model.features(images)
        together, alone = model(images), torch.cat([model(image[None]) for image in images])
    assert features.ndim == 4 and features.shape[1] == model.backbone.channels
    assert together.shape == (2,)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_vits_map_puts_each_token_where_its_patch_is() -> None:
    backbone = build_backbone("vit_tiny_patch16_224", 96).eval()
    tokens = torch.arange(37.0).view(1, 37, 1)  # one class token, then 6 × 6 patches row by row
    placed = backbone._as_map(tokens, torch.zeros(1, 3, 96, 96))
    assert placed[0, 0].tolist() == [[1.0 + 6 * row + column for column in range(6)] for row in range(6)]


def test_the_conv_head_says_when_the_map_is_too_small_for_it() -> None:
    with pytest.raises(UserError, match="at least 3 × 3; got 2 × 2"):
        classifier(64, backbone="resnet18", trained="head")


def test_the_same_seed_gives_the_same_network_and_leaves_the_global_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = classifier(), classifier()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = build_classifier(ModelOptions(name="a row"), 64, seed=1)
    assert not torch.equal(first.backbone.conv1.weight, other.backbone.conv1.weight)


def test_keras_batchnorm_settings_reach_every_layer() -> None:
    model = classifier(backbone="densenet121", batchnorm_momentum=0.01, batchnorm_epsilon=1.001e-5)
    layers = [each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    assert len(layers) == 121 and {(each.momentum, each.eps) for each in layers} == {(0.01, 1.001e-5)}


def test_the_benchmark_trains_bit_for_bit_as_its_layers_in_the_papers_order() -> None:
    images = torch.rand(3, 1, 52, 52, generator=torch.Generator().manual_seed(0))
    images[1] = 0  # every window of the pooling is a tie
    images[2] = (images[2] > 0.5).float()
    model = classifier(52).to(memory_format=torch.channels_last).train()
    with torch.no_grad():
        model.backbone.conv1.bias += 0.01
    trunk = model.backbone
    layers = (trunk.conv1, torch.nn.ReLU(), trunk.pool, trunk.conv2, torch.nn.ReLU(), trunk.pool)
    results = []
    for features in (torch.nn.Sequential(*layers), trunk):
        logits = model.logits(features(model.prepare(images)))
        results.append([logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    assert torch.equal(model.eval()(images), results[0][0])


def test_the_dense_head_gives_a_map_a_gradient_of_its_own_memory_layout() -> None:
    head = classifier(32).head
    for layout in (torch.channels_last, torch.contiguous_format):
        features = torch.rand(2, 256, 8, 8).contiguous(memory_format=layout).requires_grad_()
        seen: list[torch.Tensor] = []
        pooled = features * 1
        logits = head(pooled)
        pooled.register_hook(seen.append)
        logits.sum().backward()
        assert seen[-1].is_contiguous(memory_format=layout)
