"""Attribution maps of images by any registered method."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cxrlens.arguments import checked
from cxrlens.config import parse
from cxrlens.errors import UserError, reason
from cxrlens.explain.base import Attribution, check_images, evaluating, fitting
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@checked
def attribute(
    model: Classifier,
    images: Tensor,
    method: str = "grad_cam",
    *,
    target: int | Sequence[int] | None = None,
    **options: object,
) -> Attribution:
    """Computes attribution maps: how much each place of an image contributes to a logit.

    The model's modes, weights, gradients, flags and hooks are left unchanged. The method's `batch` bounds the memory,
    for any number of images, steps or windows.

    Args:
        model: a network with one logit or several.
        images: float [b, 1, size, size] in [0, 1]; they are converted to the model's precision. At another size than
            the model's, a network works or not, and the result's `warning` says so.
        method: a name in `METHODS`.
        target: index of the logit, for all images or for each; needed if the network has several logits.
        options: options of the method, such as `batch`, `layer` or `steps`; see its class.

    Raises:
        UserError: the method, an option or the layer is unknown, the images or the target do not fit, or the network's
            logits or gradients are not finite.

    >>> from cxrlens.models.classifier import ModelOptions, build_classifier
    >>> model = build_classifier(ModelOptions(name="small"), 64, seed=0)
    >>> attribution = attribute(model, torch.rand(2, 1, 64, 64), "grad_cam")
    >>> attribution.layer, tuple(attribution.maps.shape), tuple(attribution.enlarged().shape)
    ('backbone.relu2', (2, 32, 32), (2, 64, 64))
    """
    chosen = parse(METHODS[method], options, f"options of the method '{method}'")
    check_images(images)
    with torch.inference_mode(False), torch.enable_grad(), evaluating(model), fitting(model, images):
        targets = _targets(target, len(images))
        starts = range(0, len(images), chosen.batch)
        maps = torch.cat([_batch(model, chosen, images, targets, start) for start in starts])
        failed = (~maps.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
        if failed:
            raise UserError(
                f"{method}: the maps of {len(failed)} images are not finite (the first is number {failed[0]}): the "
                "network's logits or gradients overflow; check its weights and these images"
            )
        return Attribution(
            maps=maps,
            method=method,
            layer=chosen.layer_of(model),
            target=tuple([0] * len(images) if targets is None else targets.tolist()),
            size=(images.shape[2], images.shape[3]),
            displayed=chosen.displayed,
            margin=chosen.margin_of(model),
            warning=" ".join(filter(None, (chosen.warning, _size_warning(model, images)))),
        )


def method_fault(model: Classifier, method: str) -> str:
    """The reason why a method does not work for a network, else "". The test is one grey image with the least work.

    The maps need not be finite: that depends on the weights, and training changes them.

    Args:
        model: a network with one logit; it is left unchanged.
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


def _size_warning(model: Classifier, images: Tensor) -> str:
    height, width = images.shape[2:]
    if height == width == model.size:
        return ""
    return f"The images are {height} x {width} pixels, but the network is for images of {model.size} x {model.size}."


def _batch(model: Classifier, method: Method, images: Tensor, targets: Tensor | None, start: int) -> Tensor:
    part = slice(start, start + method.batch)
    batch = images[part].detach().to(model.mean).clone()  # a clone is no inference tensor
    batch_targets = None if targets is None else targets[part].to(model.mean.device)
    return method.maps(model, batch, batch_targets).detach().float().cpu()


def _targets(target: int | Sequence[int] | None, images: int) -> Tensor | None:
    if target is None:
        return None
    targets = [target] * images if isinstance(target, int) else [int(number) for number in target]
    if len(targets) != images:
        raise UserError(f"target must be one number, or one for each of the {images} images; got {len(targets)}")
    if min(targets) < 0:
        raise UserError(f"target counts from 0; got {min(targets)}")
    return torch.tensor(targets)
