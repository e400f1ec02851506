"""Maps for the eye: enlarged, scaled and laid over the image. Nothing here is a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import matplotlib
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cxrlens.errors import UserError, near_miss

if TYPE_CHECKING:
    from cxrlens.explain.base import Attribution

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
