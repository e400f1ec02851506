"""Random transforms of the network's input, and keras-vis' regularizers.

With transforms a picture must activate the unit at more than one place and scale (Olah et al. 2017, lucid). Every
transform draws its numbers first, one draw for each picture, so a picture's transforms do not depend on the others in
the batch. The area outside a picture is mid-grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cxrlens.config import Config

GREY = 0.5


class Pad(Config):
    """Adds a grey border.

    Attributes:
        pixels: width of the border.
    """

    kind: Literal["pad"] = "pad"
    pixels: int = Field(default=12, ge=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """No draw is needed."""
        return 0.0, 0.0

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """[b, c, h, w] → [b, c, h + 2 pixels, w + 2 pixels]."""
        return functional.pad(images, [self.pixels] * 4, value=GREY)


class Jitter(Config):
    """Crops the picture at a random place.

    Attributes:
        pixels: number of rows and of columns that are cut off.
    """

    kind: Literal["jitter"] = "jitter"
    pixels: int = Field(default=8, ge=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """Row and column of the crop's upper left corner, uniform from 0 to `pixels`."""
        down, right = rng.integers(0, self.pixels + 1, 2)
        return float(down), float(right)

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """[b, c, h, w] → [b, c, h - pixels, w - pixels]."""
        height, width = images.shape[2] - self.pixels, images.shape[3] - self.pixels
        corners = [(int(down), int(right)) for down, right in drawn]
        crops = zip(images, corners, strict=True)
        return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in crops])


class Scale(Config):
    """Scales the picture about its centre.

    Attributes:
        low: smallest factor.
        high: largest factor.
    """

    kind: Literal["scale"] = "scale"
    low: float = Field(default=0.9, gt=0)
    high: float = Field(default=1.1, gt=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """A uniform factor, and the angle 0."""
        return float(rng.uniform(min(self.low, self.high), max(self.low, self.high))), 0.0

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """The transformed pictures, in the shape of `images`."""
        return _scaled_and_rotated(images, drawn)


class Rotate(Config):
    """Rotates the picture about its centre.

    Attributes:
        degrees: largest angle in either direction.
    """

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, ge=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """The factor 1, and a uniform angle in degrees, counter-clockwise."""
        return 1.0, float(rng.uniform(-self.degrees, self.degrees))

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """The transformed pictures, in the shape of `images`."""
        return _scaled_and_rotated(images, drawn)


Transform = Annotated[Pad | Jitter | Scale | Rotate, Field(discriminator="kind")]


def _scaled_and_rotated(images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
    """Square images [b, c, h, h], each scaled by its factor and rotated by its angle in degrees, bilinear."""
    rows = []
    for factor, degrees in drawn:
        cosine, sine = math.cos(math.radians(degrees)) / factor, math.sin(math.radians(degrees)) / factor
        rows.append([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    grid = functional.affine_grid(torch.tensor(rows).to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images - GREY, grid, align_corners=False) + GREY


def fitted(images: Tensor, size: int) -> Tensor:
    """Square images cropped to their centre or padded with grey, [b, c, size, size]."""
    missing = size - images.shape[3]
    before = missing // 2
    return functional.pad(images, [before, missing - before] * 2, value=GREY) if missing else images


def wrap_offsets(share: float, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Offsets of keras-vis' jitter, down and right: whole pixels, uniform within ± `share` of the side."""
    limit = int(share * size)
    down, right = rng.integers(-limit, limit + 1, 2)
    return int(down), int(right)


def wrapped(x: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """Each picture [c, h, w] shifted down and right; what leaves at one edge enters at the opposite one.

    keras-vis calls scipy's `shift(mode="wrap")`, whose period is one pixel shorter than the side: it loses the
    line at the seam and doubles its neighbour. This function loses nothing.
    """
    return torch.stack([torch.roll(image, offset, (1, 2)) for image, offset in zip(x, offsets, strict=True)])


# The two regularizers of keras-vis 0.4.1: total variation and the L6 norm, both divided by the number of values.


def total_variation(images: Tensor) -> Tensor:
    """Squared differences to the pixels below and to the right, summed and divided by C·H·W.

    This is the total variation of Mahendran and Vedaldi 2016 with beta 2.

    Args:
        images: [b, c, h, w], in the range in which they are optimised.

    Returns:
        The total variation of each image, [b]. The last row and column have no differences of their own.
    """
    inner = images[:, :, :-1, :-1]
    down, right = images[:, :, 1:, :-1] - inner, images[:, :, :-1, 1:] - inner
    return (down.square() + right.square()).sum((1, 2, 3)) / images[0].numel()


def lp_norm(images: Tensor) -> Tensor:
    """The L6 norm (sum |x|^6)^(1/6), divided by C·H·W.

    Args:
        images: [b, c, h, w], in the range in which they are optimised.

    Returns:
        The norm of each image, [b].
    """
    # Double precision: in single precision, the sum of 150,528 sixth powers loses four digits.
    norm = torch.linalg.vector_norm(images, 6, (1, 2, 3), dtype=torch.float64)
    return norm.to(images.dtype) / images[0].numel()
