"""The door: what is asked for and refused, and what comes out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cxrlens.errors import UserError
from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import groups
from support.hand_set_networks import Formula, Layers, classifier, images, pooled


def test_the_record_says_what_was_explained_and_how() -> None:
    result = attribute(pooled(outputs=3), images(2, 12), "grad_cam", target=1)
    assert (result.method, result.layer, result.target, result.size) == ("grad_cam", "backbone", (1, 1), (12, 12))
    assert result.maps.dtype == torch.float32 and result.maps.shape == (2, 12, 12)
    assert attribute(pooled(), images(), "saliency").layer is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.rand(3, 16, 16), r"\[b, 1, h, w\].*got \[3, 16, 16\]"),
        (torch.rand(2, 3, 16, 16), r"got \[2, 3, 16, 16\]"),
        (torch.rand(0, 1, 16, 16), "at least one image"),
        (torch.zeros(1, 1, 16, 16, dtype=torch.uint8), "floats in .* got uint8"),
        (torch.full((1, 1, 16, 16), 255.0), "got values from 255 to 255"),
        (torch.full((1, 1, 16, 16), float("nan")), "finite"),
    ],
)
def test_images_that_are_not_grey_and_in_the_unit_range_are_refused(wrong: torch.Tensor, said: str) -> None:
    with pytest.raises(UserError, match=said):
        attribute(pooled(), wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "gradcam"}, "unknown method 'gradcam'; did you mean 'grad_cam'"),
        ({"method": "integrated_gradients", "stesp": 5}, "unknown key 'stesp'; did you mean 'steps'"),
        ({"method": "saliency", "layer": "head"}, "unknown key 'layer'"),
        ({"batch": 0}, "batch: .*greater than or equal to 1"),
        ({"layer": "backbone.layer.0"}, "unknown layer 'backbone.layer.0'; did you mean 'backbone.layers"),
        ({"target": [0, 0, 0]}, "one for each of the 2 images; got 3"),
        ({"target": -1}, "counts from 0; got -1"),
        ({"target": 1}, "below 1, the logits of this model; got 1"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_what_can(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        attribute(pooled(), images(), **options)


def test_several_logits_need_a_target() -> None:
    with pytest.raises(UserError, match="gives 3 logits an image, 0 to 2; choose one"):
        attribute(pooled(outputs=3), images())


def test_a_logit_that_overflows_is_said_and_not_drawn() -> None:
    model = classifier(Layers(nn.Identity()), Formula(lambda x: (1 / (x[:, 0].sum((1, 2)) - 4))[:, None]))
    batch = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    with pytest.raises(UserError, match=r"maps of 1 images are not finite \(the first is number 1\)"):
        attribute(model, batch, "saliency")


def test_it_works_where_the_caller_has_switched_gradients_off() -> None:
    model, batch = pooled(), images()
    expected = attribute(model, batch, "saliency").maps
    with torch.no_grad():
        assert torch.equal(attribute(model, batch, "saliency").maps, expected)
    with torch.inference_mode():
        assert torch.equal(attribute(model, batch.clone(), "saliency").maps, expected)
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()


def test_no_more_than_a_batch_goes_through_the_network_at_once() -> None:
    seen: list[int] = []
    model = pooled()
    model.backbone.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    for method in ("integrated_gradients", "smoothgrad", "occlusion"):
        for count in (2, 5):
            attribute(model, images(count), method, batch=4)
    assert max(seen) == 4


def test_groups_cover_every_variant_once() -> None:
    assert [list(each) for each in groups(5, images=3, batch=8)] == [[0, 1], [2, 3], [4]]
    assert [list(each) for each in groups(2, images=3, batch=1)] == [[0], [1]]
