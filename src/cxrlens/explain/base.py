"""The result of an attribution method, its display, and the gradients that the methods share.

The display only makes maps visible; measurements use the raw maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cxrlens.arguments import checked
from cxrlens.errors import UserError, near_miss
from cxrlens.models.classifier import Classifier

Interpolation = Literal["bicubic", "bilinear", "nearest"]


@dataclass(frozen=True)
class Display:
    """How maps are displayed over their images.

    Attributes:
        scale: "shared" is one scale for all maps of a model and method; "min-max" stretches each map to its own range.
        percentile: percentile of all values of all maps that gets the full colour (above 50, at most 100).
        interpolation: interpolation between the cells of a coarse map.
        margin: whether each cell lies where the network saw it (see `Attribution.enlarged`).
        alpha: opacity of the full colour, in [0, 1].
        fade: whether the opacity is proportional to the evidence, so that no evidence leaves the image bare.
        colours: the matplotlib colour map of maps without a sign.
        signed_colours: the matplotlib colour map of signed maps; its middle is 0.
    """

    scale: Literal["shared", "min-max"] = "shared"
    percentile: float = 99.5
    interpolation: Interpolation = "bicubic"
    margin: bool = True
    alpha: float = 0.75
    fade: bool = True
    colours: str = "autumn"
    signed_colours: str = "coolwarm"


DISPLAYS = {
    "shared": Display(),
    # The paper's display: each map is stretched to its own range, in one even layer, so weak evidence looks strong.
    "paper": Display(scale="min-max", margin=False, alpha=0.5, fade=False, colours="jet", signed_colours="jet"),
}


def enlarge(
    maps: Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic", margin: tuple[int, int] = (0, 0)
) -> Tensor:
    """Maps [b, h', w'] resized to an image's size, [b, h, w].

    Args:
        maps: the maps, of any resolution.
        size: (h, w) of the result.
        interpolation: interpolation between cells; "bicubic" overshoots a little.
        margin: cells (rows, columns) that the maps lack on each side. They get the nearest cell's value, so that all
            others lie where the network saw them.
    """
    rows, columns = margin
    padded = functional.pad(maps[:, None], (columns, columns, rows, rows), mode="replicate")
    corners = None if interpolation == "nearest" else False
    return functional.interpolate(padded, size=size, mode=interpolation, align_corners=corners)[:, 0]


@checked
def shared_scale(maps: Tensor, percentile: float = 99.5) -> float:
    """The magnitude that gets the full colour on every map of a model and method; 0 if there is no evidence at all.

    It is a percentile, so that one extreme pixel does not dim all others. If that is 0, it is the maximum.

    Args:
        maps: raw maps, at least one value.
        percentile: percentile of the magnitudes, from 0 to 100.

    Raises:
        UserError: there is no map, or the percentile is out of range.
    """
    if not maps.numel():
        raise UserError(f"shared_scale needs at least one map; got maps of shape {list(maps.shape)}")
    if not 0 <= percentile <= 100:
        raise UserError(f"percentile must be from 0 to 100; got {percentile}")
    values = maps.abs().flatten().double().numpy()
    return float(np.percentile(values, percentile) or values.max(initial=0))


def scaled(maps: Tensor, scale: float) -> Tensor:
    """Maps divided by the scale and clipped to [-1, 1]; zeros if the scale is 0."""
    return (maps / scale).clamp(-1, 1) if scale > 0 else torch.zeros_like(maps)


def min_max(maps: Tensor) -> Tensor:
    """Each map stretched to [0, 1], as in the paper; a map without contrast becomes zeros, never NaN."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny), 0)


@checked
def overlay(
    images: Tensor, attribution: Attribution, *, display: Display | str = "shared", scale: float | None = None
) -> np.ndarray:
    """The maps in colour over their images.

    Args:
        images: the explained images, [b, 1, h, w] in [0, 1].
        attribution: the maps of these images.
        display: a `Display`, or the name of one in `DISPLAYS`.
        scale: the value that gets the full colour, from `shared_scale` over all images of a model and method; computed
            from these maps alone if None.

    Returns:
        float32 [b, h, w, 3] in [0, 1].

    Raises:
        UserError: the images do not fit the maps, the display is unknown, or the scale is negative or not finite.
    """
    if isinstance(display, str) and display not in DISPLAYS:
        raise UserError(near_miss("display", display, DISPLAYS))
    display = DISPLAYS[display] if isinstance(display, str) else display
    if scale is not None and not 0 <= scale < float("inf"):
        raise UserError(f"scale must be a finite number of at least 0, such as shared_scale gives; got {scale}")
    expected = (len(attribution.maps), 1, *attribution.size)
    if tuple(images.shape) != expected:
        raise UserError(f"an overlay needs the images that were explained, {list(expected)}; got {list(images.shape)}")
    maps = attribution.enlarged(display.interpolation, display.margin)
    signed = attribution.displayed == "signed"
    if display.scale == "min-max":
        shares = min_max(maps)
    else:
        shares = scaled(maps, shared_scale(maps, display.percentile) if scale is None else scale)
    centred = signed and display.scale == "shared"
    positions = (shares + 1) / 2 if centred else shares
    colour_map = matplotlib.colormaps[display.signed_colours if signed else display.colours]
    colours = colour_map(positions.numpy())[..., :3]
    opacity = display.alpha * (shares.abs().numpy()[..., None] if display.fade else 1.0)
    grey = images[:, 0].cpu().numpy()[..., None]
    return (grey * (1 - opacity) + colours * opacity).astype(np.float32)


DisplayedPart = Literal["positive", "magnitude", "signed"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Raw maps of a batch of images, before any scaling for display.

    Attributes:
        maps: float32 [b, h', w'] on the CPU, signed: positive values are evidence for the target's logit. The
            resolution is the method's own: an image's pixels, or the cells of a layer's map.
        method: name of the method.
        layer: name of the layer whose map was used; None for a method without a layer.
        target: index of the explained logit for each image, [b].
        size: (h, w) of the images.
        displayed: the part of the signed maps that the method's paper displays: the positive part, the magnitude, or
            both signs.
        margin: cells (rows, columns) that the map lacks on each side, after a convolution without padding.
        warning: what a reader of the maps must know; empty if there is nothing.
    """

    maps: Tensor
    method: str
    layer: str | None
    target: tuple[int, ...]
    size: tuple[int, int]
    displayed: DisplayedPart
    margin: tuple[int, int] = (0, 0)
    warning: str = ""

    def __repr__(self) -> str:
        count, rows, columns = self.maps.shape
        layer = f"of {self.layer}, " if self.layer else ""
        low, high = self.maps.aminmax()
        return (
            f"Attribution by {self.method}: {count} map{'' if count == 1 else 's'} of {rows} x {columns} {layer}"
            f"for images of {self.size[0]} x {self.size[1]}, values from {low:.3g} to {high:.3g}"
        )

    @property
    def evidence(self) -> Tensor:
        """The part of the maps that the method's paper displays, float32 [b, h', w']; zeros mean no evidence."""
        if self.displayed == "signed":
            return self.maps
        return self.maps.abs() if self.displayed == "magnitude" else self.maps.clamp(min=0)

    @checked
    def enlarged(self, interpolation: Interpolation = "bicubic", margin: bool = True) -> Tensor:
        """The evidence at the images' size, float32 [b, h, w].

        Args:
            interpolation: interpolation between the cells of a coarse map; the paper used "bicubic".
            margin: whether each cell lies where the network saw it. If False, a map that lacks its margin is stretched
                over the whole image, as in the paper.
        """
        evidence = enlarge(self.evidence, self.size, interpolation, self.margin if margin else (0, 0))
        return evidence if self.displayed == "signed" else evidence.clamp(min=0)  # bicubic overshoots


def select(logits: Tensor, target: Tensor | None) -> Tensor:
    """The explained logit of each image, [b].

    Args:
        logits: [b], or [b, k] for a network with several outputs.
        target: index of each image's logit, [b]; None if the network has only one logit.

    Raises:
        UserError: there are several logits and no target, or the target is out of range.
    """
    outputs = logits[:, None] if logits.ndim == 1 else logits
    count = outputs.shape[1]
    if target is None and count > 1:
        raise UserError(f"target is needed: this model gives {count} logits an image, 0 to {count - 1}; choose one")
    if target is None:
        return outputs[:, 0]
    if int(target.max()) >= count:
        raise UserError(f"target must be below {count}, the logits of this model; got {int(target.max())}")
    return outputs.gather(1, target[:, None])[:, 0]


def pixel_gradient(model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
    """The gradient of the logit with respect to each grey pixel, [b, 1, h, w]."""
    images = images.detach().requires_grad_()
    return torch.autograd.grad(select(model(images), target).sum(), images)[0]


def channel_gradient(model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
    """The gradient of the logit with respect to the backbone's input, [b, 3, h, w]."""
    inputs = model.prepare(images).detach().requires_grad_()
    return torch.autograd.grad(select(model.logits(model.backbone(inputs)), target).sum(), inputs)[0]


def largest_channel(gradients: Tensor) -> Tensor:
    """The signed gradient of the channel with the largest |gradient| at each pixel: [b, c, h, w] → [b, h, w].

    Its magnitude is Simonyan's map, the maximum of |gradient| over the channels.
    """
    return gradients.gather(1, gradients.abs().argmax(1, keepdim=True))[:, 0]


def groups(count: int, images: int, batch: int) -> Iterator[range]:
    """Splits the `count` variants of `images` images, so that at most `batch` go through the network at once."""
    size = max(1, batch // images)
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def check_images(images: Tensor) -> None:
    """Checks images for a network: a tensor of floats, [b, 1, h, w] with at least one image, in [0, 1].

    Raises:
        UserError: they are something else; the message says what.
    """
    if not isinstance(images, Tensor):
        raise UserError(f"images must be a tensor; got {type(images).__name__}: use torch.from_numpy, or load_image")
    if images.ndim != 4 or images.shape[1] != 1 or not len(images):
        raise UserError(f"images must be [b, 1, h, w] with at least one image; got {list(images.shape)}")
    if not images.is_floating_point():
        raise UserError(f"images must be floats in [0, 1]; got {str(images.dtype).removeprefix('torch.')}")
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise UserError(f"images must be in [0, 1] and finite; got values from {low:g} to {high:g}")


@contextmanager
def fitting(model: Classifier, images: Tensor) -> Iterator[None]:
    """Within the block, a network that cannot take images of another size than its own gives a UserError."""
    try:
        yield
    except (RuntimeError, AssertionError, ValueError) as error:
        height, width = images.shape[2:]
        if height == width == model.size or isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(
            f"this network needs images of {model.size} x {model.size} pixels, [b, 1, {model.size}, {model.size}], as "
            f"load_image(path, size={model.size}) reads them; got {list(images.shape)}"
        ) from error


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; afterwards every module is back in its own mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
