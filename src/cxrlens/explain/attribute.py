"""The one way to ask for attribution maps, whatever the method."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cxrlens.config import parse
from cxrlens.errors import UserError, reason
from cxrlens.explain.base import Attribution, evaluating
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


def attribute(
    model: Classifier,
    images: Tensor,
    method: str = "grad_cam",
    *,
    target: int | Sequence[int] | None = None,
    **options: object,
) -> Attribution:
    """Where in each image a logit comes from.

    The model is left as it was found: mode, weights, gradients, flags and hooks. Memory is bounded by the method's
    `batch`, whatever the number of images, steps or windows.

    Args:
        model: of one logit or of several.
        images: float [b, 1, h, w] in [0, 1]; they go through the model in its own precision.
        method: a name in `METHODS`.
        target: which logit, for all images or one for each; needed where there are several.
        options: the method's own, such as `batch`, `layer` or `steps`; see its class.

    Raises:
        UserError: an unknown method, option or layer, images or a target that don't fit, or a network whose logits or
            gradients are not finite.

    >>> from cxrlens.models.classifier import ModelOptions, build_classifier
    >>> model = build_classifier(ModelOptions(name="small"), 64, seed=0)
    >>> found = attribute(model, torch.rand(2, 1, 64, 64), "grad_cam")
    >>> found.layer, tuple(found.maps.shape), tuple(found.enlarged().shape)
    ('backbone.relu2', (2, 32, 32), (2, 64, 64))
    """
    chosen = parse(METHODS[method], options, f"options of the method '{method}'")
    _check(images)
    with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
        targets = _targets(target, len(images))
        starts = range(0, len(images), chosen.batch)
        maps = torch.cat([_batch(model, chosen, images, targets, start) for start in starts])
        lost = (~maps.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
        if lost:
            raise UserError(
                f"{method}: the maps of {len(lost)} images are not finite (the first is number {lost[0]}): the "
                "network's logits or gradients overflow there; look at its weights and at what the images hold"
            )
        return Attribution(
            maps=maps,
            method=method,
            layer=chosen.layer_of(model),
            target=tuple([0] * len(images) if targets is None else targets.tolist()),
            size=(images.shape[2], images.shape[3]),
            shown=chosen.shown,
            margin=chosen.margin_of(model),
            warning=chosen.warning,
        )


def method_fault(model: Classifier, method: str) -> str:
    """Why a network cannot have a method's maps, else "": one grey image is tried, with as little work as may be.

    Whether the maps are finite is not asked: that depends on the weights, and training changes them.

    Args:
        model: of one logit; left as it was found.
        method: a name in `METHODS`.
    """
    chosen = METHODS[method].model_validate(METHODS[method].trial)
    grey = torch.full((1, 1, model.size, model.size), 0.5).to(model.mean)
    try:
        with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
            chosen.margin_of(model)
            chosen.maps(model, grey, None)
    except Exception as error:
        return reason(error)
    return ""


def _batch(model: Classifier, method: Method, images: Tensor, targets: Tensor | None, start: int) -> Tensor:
    some = slice(start, start + method.batch)
    given = images[some].detach().to(model.mean).clone()  # leaves inference mode behind
    wanted = None if targets is None else targets[some].to(model.mean.device)
    return method.maps(model, given, wanted).detach().float().cpu()


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 1 or not len(images):
        raise UserError(f"images must be [b, 1, h, w] with at least one image; got {list(images.shape)}")
    if not images.is_floating_point():
        raise UserError(f"images must be floats in [0, 1]; got {str(images.dtype).removeprefix('torch.')}")
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise UserError(f"images must be in [0, 1] and finite; got values from {low:g} to {high:g}")


def _targets(target: int | Sequence[int] | None, images: int) -> Tensor | None:
    if target is None:
        return None
    each = [target] * images if isinstance(target, int) else [int(number) for number in target]
    if len(each) != images:
        raise UserError(f"target must be one number, or one for each of the {images} images; got {len(each)}")
    if min(each) < 0:
        raise UserError(f"target counts from 0; got {min(each)}")
    return torch.tensor(each)
