"""One of each kind of timm network that asks for something of its own: it works, or is refused in a sentence.

`benchmarks/timm_backbones.py` goes over all kinds.
"""

from __future__ import annotations

import copy

import pytest
import torch

from cxrlens.errors import UserError
from cxrlens.explain.methods.grad_cam import GradCam
from cxrlens.models.backbones.timm_family import build_backbone, timm_names
from cxrlens.models.classifier import ModelOptions, build_classifier

WORK = {  # name → side of its map of 64 × 64 images: what is special about it
    "deit_tiny_distilled_patch16_224": 4,  # cannot go without pooling; two prefix tokens
    "coat_lite_tiny": 2,  # cannot go without pooling; does not say that it has a class token
    "coat_tiny": 2,  # three maps of different sizes
    "volo_d1_224": 4,  # a class token that it does not speak of
    "efficientvit_b0": 2,  # cannot go without pooling
    "efficientvim_m1": 1,  # a list of states, which are no maps
    "inception_next_atto": 2,
    "resnet18": 2,
    "swin_tiny_patch4_window7_224": 2,
}


@pytest.mark.parametrize("name", WORK)
def test_it_gives_a_map_trains_and_is_explained(name: str) -> None:
    if name not in timm_names():
        pytest.skip(f"this timm has no {name}")
    model = build_classifier(ModelOptions(name="a row", backbone=name, head="linear"), 64, seed=0).eval()
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, alone = model.features(images), model.features(images[1:])
    assert features.shape == (2, model.backbone.channels, WORK[name], WORK[name])
    torch.testing.assert_close(features[1:], alone, rtol=1e-3, atol=1e-4)
    assert GradCam().maps(model, images, None).shape == (2, WORK[name], WORK[name])
    model.train()(images).sum().backward()
    assert any(each.grad is not None and each.grad.any() for each in model.backbone.parameters())


@pytest.mark.parametrize(
    ("name", "size", "own"),
    [("inception_v3", 64, 299), ("efficientformer_l1", 96, 224), ("crossvit_tiny_240", 96, 240)],
)
def test_a_size_that_a_network_cannot_take_is_refused_in_a_sentence(name: str, size: int, own: int) -> None:
    message = (
        rf"the backbone '{name}' gives no feature map of images of {size} × {size} \(.+\): give it images of {own} ×"
    )
    with pytest.raises(UserError, match=message):
        build_backbone(name, size)


def test_a_backbone_whose_first_way_to_a_map_fails_is_in_training_mode_like_any_other() -> None:
    backbone = build_backbone("efficientvim_m1", 64)
    assert all(module.training for module in backbone.modules())


def test_crossvits_two_branches_lie_side_by_side_at_the_size_of_the_coarser() -> None:
    backbone = build_backbone("crossvit_tiny_240", 240).eval()
    images = torch.rand(1, 3, 240, 240, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, (fine, coarse) = backbone(images), backbone.network.forward_features(images)
    assert features.shape == (1, 96 + 192, 14, 14) and fine.shape[1] == 1 + 20 * 20
    torch.testing.assert_close(features[0, 96:, 3, 5], coarse[0, 1 + 3 * 14 + 5])
    torch.testing.assert_close(features[0, :96].mean(), fine[0, 1:].mean(), rtol=0.2, atol=0.02)


def test_tokens_lie_where_their_patches_are_though_a_network_does_not_count_its_prefix() -> None:
    backbone = build_backbone("coat_lite_tiny", 64)
    assert not hasattr(backbone.network, "num_prefix_tokens")
    tokens = torch.arange(25.0).view(1, 25, 1)  # one class token, then 4 × 6 patches row by row
    placed = backbone._tokens_as_map(tokens, torch.zeros(1, 3, 64, 96))
    assert placed[0, 0].tolist() == [[1.0 + 6 * row + column for column in range(6)] for row in range(4)]
    with pytest.raises(ValueError, match="tokens do not form a map"):
        backbone._tokens_as_map(torch.zeros(1, 40, 1), torch.zeros(1, 3, 64, 64))


def test_a_copy_of_a_backbone_asks_its_own_network() -> None:
    backbone = build_backbone("efficientvit_b0", 64).eval()
    twin = copy.deepcopy(backbone)
    with torch.no_grad():
        for each in twin.parameters():
            each.zero_()
        assert not twin(torch.rand(1, 3, 64, 64)).any() and backbone(torch.rand(1, 3, 64, 64)).any()
