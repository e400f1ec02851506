"""Grad-CAM and HiResCAM: by hand, by what they must sum to, and against captum."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import min_max
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from support.hand_set_networks import captums, images, pooled


@pytest.mark.parametrize(
    ("layer", "expected"),
    [("backbone.layers.0", [[11.25, 13.5], [20.25, 22.5]]), ("backbone.layers.1", [[0, 4], [28, 32.5]])],
)
def test_captums_hand_set_net_gives_its_published_maps(layer: str, expected: list[list[float]]) -> None:
    model, image = captums()
    maps = attribute(model, image, "grad_cam", target=0, layer=layer).maps[0]
    torch.testing.assert_close(maps, torch.tensor(expected).float(), rtol=1e-5, atol=1e-4)


def test_under_a_pooled_linear_head_grad_cam_is_cam_over_the_area() -> None:
    model, batch = pooled(), images()
    with torch.no_grad():
        cam = torch.einsum("bchw,c->bhw", model.features(batch), model.head[1].weight[0])
    torch.testing.assert_close(attribute(model, batch, "grad_cam").maps, cam / 256)
    torch.testing.assert_close(attribute(model, batch, "hires_cam").maps, cam / 256)


def test_hires_cam_sums_to_the_logit_less_its_bias_under_any_linear_head_and_grad_cam_does_not() -> None:
    torch.manual_seed(0)
    model, batch = pooled(), images()
    model.head = nn.Sequential(nn.Flatten(), nn.Linear(5 * 256, 1))
    with torch.no_grad():
        wanted = model(batch) - model.head[1].bias
    torch.testing.assert_close(attribute(model, batch, "hires_cam").maps.sum((1, 2)), wanted, rtol=1e-4, atol=1e-5)
    assert (attribute(model, batch, "grad_cam").maps.sum((1, 2)) * 256 - wanted).abs().max() > 0.01


def test_positive_scaling_of_the_logit_changes_nothing_after_min_max() -> None:
    model, batch = pooled(), images()
    before = min_max(attribute(model, batch).evidence)
    with torch.no_grad():
        model.head[1].weight.mul_(37)
    torch.testing.assert_close(min_max(attribute(model, batch).evidence), before)


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam"])
def test_evidence_that_is_all_negative_is_kept_raw_and_shown_as_nothing(method: str) -> None:
    result = attribute(pooled(sign=-1), images(), method)
    assert (result.maps <= 0).all() and result.maps.min() < 0
    assert not result.evidence.any() and not result.enlarged().any()


def _resnet(**options: object) -> Classifier:
    return build_classifier(ModelOptions(name="a row", backbone="resnet10t", **options), 64, seed=0).eval()


@pytest.mark.parametrize(
    "layer", ["backbone.network.layer4", "backbone.network.layer3.0.bn1", "backbone.network.conv1.0"]
)
def test_grad_cam_agrees_with_captum_at_any_depth(layer: str) -> None:
    model, batch = _resnet(), images(side=64)
    oracle = LayerGradCam(model, model.get_submodule(layer)).attribute(batch, relu_attributions=False)[:, 0]
    maps = attribute(model, batch, "grad_cam", layer=layer).maps
    torch.testing.assert_close(maps, oracle.detach(), rtol=1e-5, atol=1e-5 * float(oracle.detach().abs().max()))


def test_each_image_may_have_a_target_of_its_own() -> None:
    model, batch = pooled(outputs=3), images(3)
    by_target = [attribute(model, batch, target=target).maps for target in range(3)]
    mixed = attribute(model, batch, target=[2, 0, 1])
    assert mixed.target == (2, 0, 1)
    for image, target in enumerate(mixed.target):
        torch.testing.assert_close(mixed.maps[image], by_target[target][image])
    oracle = LayerGradCam(model, model.backbone.layers[1]).attribute(batch, target=[2, 0, 1])[:, 0]
    torch.testing.assert_close(mixed.maps, oracle.detach())


def test_the_head_of_a_trunk_is_explained_without_a_graph_of_the_trunk() -> None:
    model, batch = build_classifier(ModelOptions(name="a row", backbone="resnet10t"), 96, seed=0), images(side=96)
    model.head = nn.Sequential(nn.Conv2d(512, 64, 3), *model.head[:1], nn.Linear(64, 1))  # every weight of it can train
    recorded: list[bool] = []
    for module in model.backbone.network.modules():
        module.register_forward_hook(lambda *each: recorded.append(each[2].requires_grad))
    selected: list[int] = []

    def saved(method: str, **options: object) -> int:
        selected.clear(), recorded.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda each: selected.append(1) or each, lambda each: each):
            attribute(model, batch, method, **options)
        return len(selected)

    assert saved("grad_cam") < 10 and not any(recorded)  # the head's last convolution
    assert saved("grad_cam", layer="backbone") < 10 and not any(recorded)  # the trunk's last map
    assert saved("hires_cam") < 10 and not any(recorded)
    assert saved("saliency") > 50 and all(recorded)  # what a pass through the trunk looks like
