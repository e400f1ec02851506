"""What the attribution methods share: their result, and the logit that they explain."""

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

from cxrlens.errors import UserError, near_miss
from cxrlens.models.classifier import Classifier

# Maps for the eye: enlarged, scaled and laid over the image. Nothing here is a measurement.

Interpolation = Literal["bicubic", "bilinear", "nearest"]


@dataclass(frozen=True)
class Display:
    """How maps are shown.

    Attributes:
        scale: "shared" is one scale for all maps of a model and method; "min-max" stretches each map to its own range.
        percentile: of all values of all maps, which gets the full colour (above 50, at most 100).
        interpolation: between the cells of a coarse map.
        margin: see `Attribution.enlarged`.
        alpha: opacity of the full colour, in [0, 1].
        fade: whether weak evidence is as transparent as it is weak, so that none leaves the image bare.
        colours: a matplotlib colour map; of signed maps its middle is 0.
        signed_colours: the colour map of signed maps.
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
    # The paper's: each map stretched to its own range, so that weak evidence looks like strong, in one even layer.
    "paper": Display(scale="min-max", margin=False, alpha=0.5, fade=False, colours="jet", signed_colours="jet"),
}


def enlarge(
    maps: Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic", margin: tuple[int, int] = (0, 0)
) -> Tensor:
    """Maps [b, h', w'] at an image's size, [b, h, w].

    Args:
        maps: of any resolution.
        size: (h, w) wanted.
        interpolation: between cells; "bicubic" overshoots a little.
        margin: cells (rows, columns) that the maps lack on each side: they get the nearest cell's value, so that all
            others lie where they were seen.
    """
    rows, columns = margin
    filled = functional.pad(maps[:, None], (columns, columns, rows, rows), mode="replicate")
    corners = None if interpolation == "nearest" else False
    return functional.interpolate(filled, size=size, mode=interpolation, align_corners=corners)[:, 0]


def shared_scale(maps: Tensor, percentile: float = 99.5) -> float:
    """The magnitude that gets the full colour on every map of a model and method; 0 where there is no evidence at all.

    A percentile, so that one extreme pixel doesn't dim all others; the maximum where fewer pixels than that hold any.
    """
    values = maps.abs().flatten().double().numpy()
    return float(np.percentile(values, percentile) or values.max(initial=0))


def scaled(maps: Tensor, scale: float) -> Tensor:
    """Maps as shares of the scale, clipped to [-1, 1]; zeros where the scale is 0."""
    return (maps / scale).clamp(-1, 1) if scale > 0 else torch.zeros_like(maps)


def min_max(maps: Tensor) -> Tensor:
    """Each map stretched to [0, 1], as the paper did; a map without any contrast is all zeros, never NaN."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny), 0)


def overlay(
    images: Tensor, attribution: Attribution, *, display: Display | str = "shared", scale: float | None = None
) -> np.ndarray:
    """The maps in colour over their images.

    Args:
        images: [b, 1, h, w] in [0, 1], those that were explained.
        attribution: their maps.
        display: a `Display`, or the name of one in `DISPLAYS`.
        scale: of the maps, from `shared_scale` over all images of a model and method; of these maps alone where none is
            given.

    Returns:
        float32 [b, h, w, 3] in [0, 1].

    Raises:
        UserError: the images are not the maps' own, or nobody knows the display.
    """
    if isinstance(display, str) and display not in DISPLAYS:
        raise UserError(near_miss("display", display, DISPLAYS))
    how = DISPLAYS[display] if isinstance(display, str) else display
    expected = (len(attribution.maps), 1, *attribution.size)
    if tuple(images.shape) != expected:
        raise UserError(f"an overlay needs the images that were explained, {list(expected)}; got {list(images.shape)}")
    maps = attribution.enlarged(how.interpolation, how.margin)
    signed = attribution.shown == "signed"
    if how.scale == "min-max":
        shares = min_max(maps)
    else:
        shares = scaled(maps, shared_scale(maps, how.percentile) if scale is None else scale)
    centred = signed and how.scale == "shared"
    place = (shares + 1) / 2 if centred else shares
    colours = matplotlib.colormaps[how.signed_colours if signed else how.colours](place.numpy())[..., :3]
    opacity = how.alpha * (shares.abs().numpy()[..., None] if how.fade else 1.0)
    grey = images[:, 0].cpu().numpy()[..., None]
    return (grey * (1 - opacity) + colours * opacity).astype(np.float32)


Shown = Literal["positive", "magnitude", "signed"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Raw maps of a batch of images, before any scaling for the eye.

    Attributes:
        maps: float32 [b, h', w'] on the CPU, signed: positive speaks for the target's logit. At the method's own
            resolution: an image's pixels, or the cells of a layer's map.
        method: its name.
        layer: the layer whose map was explained; None for a method that needs none.
        target: the explained logit's index for each image, [b].
        size: (h, w) of the images.
        shown: what of the maps the method's paper shows: their positive part, their magnitude, or both signs.
        margin: cells (rows, columns) that the map lacks on each side, where a convolution without padding made it.
        warning: what a reader of the maps must know; empty where there is nothing.
    """

    maps: Tensor
    method: str
    layer: str | None
    target: tuple[int, ...]
    size: tuple[int, int]
    shown: Shown
    margin: tuple[int, int] = (0, 0)
    warning: str = ""

    def __repr__(self) -> str:
        count, rows, columns = self.maps.shape
        of = f"of {self.layer}, " if self.layer else ""
        low, high = self.maps.aminmax()
        return (
            f"Attribution by {self.method}: {count} map{'' if count == 1 else 's'} of {rows} x {columns} {of}"
            f"for images of {self.size[0]} x {self.size[1]}, values from {low:.3g} to {high:.3g}"
        )

    @property
    def evidence(self) -> Tensor:
        """float32 [b, h', w']: the maps as the method's paper shows them; all zeros where nothing speaks for it."""
        if self.shown == "signed":
            return self.maps
        return self.maps.abs() if self.shown == "magnitude" else self.maps.clamp(min=0)

    def enlarged(self, interpolation: Interpolation = "bicubic", margin: bool = True) -> Tensor:
        """The evidence at the images' size, float32 [b, h, w].

        Args:
            interpolation: between the cells of a coarse map; "bicubic" is the paper's.
            margin: whether each cell goes where it was seen. Without it a map that lacks its rim is stretched over the
                whole image, as the paper's was.
        """
        evidence = enlarge(self.evidence, self.size, interpolation, self.margin if margin else (0, 0))
        return evidence if self.shown == "signed" else evidence.clamp(min=0)  # bicubic overshoots


def select(logits: Tensor, target: Tensor | None) -> Tensor:
    """The explained logit of each image, [b].

    Args:
        logits: [b], or [b, k] of a network with several outputs.
        target: index of each image's logit, [b]; None where there is only one.

    Raises:
        UserError: there are several and none was named, or one that is not there was.
    """
    outputs = logits[:, None] if logits.ndim == 1 else logits
    count = outputs.shape[1]
    if target is None and count > 1:
        raise UserError(f"target is needed: this model gives {count} logits an image, 0 to {count - 1}; say which")
    if target is None:
        return outputs[:, 0]
    if int(target.max()) >= count:
        raise UserError(f"target must be below {count}, the logits of this model; got {int(target.max())}")
    return outputs.gather(1, target[:, None])[:, 0]


def pixel_gradient(model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
    """Gradient of the logit by each grey pixel, [b, 1, h, w]."""
    images = images.detach().requires_grad_()
    return torch.autograd.grad(select(model(images), target).sum(), images)[0]


def channel_gradient(model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
    """Gradient of the logit by each value that the backbone is given, [b, 3, h, w]."""
    given = model.prepare(images).detach().requires_grad_()
    return torch.autograd.grad(select(model.logits(model.backbone(given)), target).sum(), given)[0]


def largest_channel(gradients: Tensor) -> Tensor:
    """At each pixel the signed gradient of the channel where it is largest: [b, c, h, w] → [b, h, w].

    Its magnitude is Simonyan's map, the maximum of |gradient| over the channels.
    """
    return gradients.gather(1, gradients.abs().argmax(1, keepdim=True))[:, 0]


def groups(count: int, images: int, batch: int) -> Iterator[range]:
    """Splits `count` variants of each of `images` images: at most `batch` of them go through the network at once."""
    together = max(1, batch // images)
    for start in range(0, count, together):
        yield range(start, min(start + together, count))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; every module is put back in the mode that it was in, be they mixed."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
