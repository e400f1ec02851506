"""What happens to a picture before the network sees it, so that it works from more than one place (Olah 2017, lucid).

Every transform draws its numbers first and is then applied to them, one draw a picture, so a picture's fate does not
depend on its neighbours in the batch. What comes into view from outside is mid-grey.
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
    """A rim of grey.

    Attributes:
        pixels: its width.
    """

    kind: Literal["pad"] = "pad"
    pixels: int = Field(default=12, ge=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """Nothing to draw."""
        return 0.0, 0.0

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """[b, c, h, w] → [b, c, h + 2 pixels, w + 2 pixels]."""
        return functional.pad(images, [self.pixels] * 4, value=GREY)


class Jitter(Config):
    """A window that is smaller by some pixels, at a random place.

    Attributes:
        pixels: by how many.
    """

    kind: Literal["jitter"] = "jitter"
    pixels: int = Field(default=8, ge=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """The window's upper left corner, each of 0 to `pixels` as likely."""
        down, right = rng.integers(0, self.pixels + 1, 2)
        return float(down), float(right)

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """[b, c, h, w] → [b, c, h - pixels, w - pixels]."""
        height, width = images.shape[2] - self.pixels, images.shape[3] - self.pixels
        corners = [(int(down), int(right)) for down, right in drawn]
        windows = zip(images, corners, strict=True)
        return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in windows])


class Scale(Config):
    """Larger or smaller about the centre.

    Attributes:
        low: the smallest factor.
        high: the largest.
    """

    kind: Literal["scale"] = "scale"
    low: float = Field(default=0.9, gt=0)
    high: float = Field(default=1.1, gt=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """A factor, uniform, and no angle."""
        return float(rng.uniform(min(self.low, self.high), max(self.low, self.high))), 0.0

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """The same shape."""
        return _turned(images, drawn)


class Rotate(Config):
    """Turned about the centre.

    Attributes:
        degrees: the largest angle either way.
    """

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, ge=0)

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """No factor, and an angle in degrees, uniform, counter-clockwise."""
        return 1.0, float(rng.uniform(-self.degrees, self.degrees))

    def apply(self, images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
        """The same shape."""
        return _turned(images, drawn)


Transform = Annotated[Pad | Jitter | Scale | Rotate, Field(discriminator="kind")]


def _turned(images: Tensor, drawn: Sequence[tuple[float, float]]) -> Tensor:
    """Square images [b, c, h, h] enlarged by a factor and turned by an angle in degrees, bilinear."""
    rows = []
    for factor, degrees in drawn:
        cosine, sine = math.cos(math.radians(degrees)) / factor, math.sin(math.radians(degrees)) / factor
        rows.append([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    grid = functional.affine_grid(torch.tensor(rows).to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images - GREY, grid, align_corners=False) + GREY


def fitted(images: Tensor, size: int) -> Tensor:
    """The middle [b, c, size, size], grey around it where there is too little."""
    lack = size - images.shape[3]
    before = lack // 2
    return functional.pad(images, [before, lack - before] * 2, value=GREY) if lack else images


def wrap_offsets(share: float, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Offsets of keras-vis' jitter, down and right: whole pixels, uniform within `share` of the side either way."""
    reach = int(share * size)
    down, right = rng.integers(-reach, reach + 1, 2)
    return int(down), int(right)


def wrapped(x: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """Each picture [c, h, w] moved down and right; what leaves on one side comes in on the other.

    keras-vis calls scipy's `shift(mode="wrap")`, whose period is one pixel short of the side: the line at the seam
    is lost and its neighbour doubled. Here nothing is lost.
    """
    return torch.stack([torch.roll(image, move, (1, 2)) for image, move in zip(x, offsets, strict=True)])


# keras-vis 0.4.1's two priors, for each picture: total variation and the L6 norm, both by the number of values.


def total_variation(images: Tensor) -> Tensor:
    """Sum of squared steps to the pixel below and to the right, by C·H·W (Mahendran and Vedaldi 2016, beta 2).

    Args:
        images: [b, c, h, w], in the range in which they are optimised.

    Returns:
        [b]. The last row and column only end steps.
    """
    here = images[:, :, :-1, :-1]
    down, right = images[:, :, 1:, :-1] - here, images[:, :, :-1, 1:] - here
    return (down.square() + right.square()).sum((1, 2, 3)) / images[0].numel()


def lp_norm(images: Tensor) -> Tensor:
    """The L6 norm (sum |x|^6)^(1/6) by C·H·W.

    Args:
        images: [b, c, h, w], in the range in which they are optimised.

    Returns:
        [b].
    """
    # In double precision: PyTorch sums one by one, and 150,528 sixth powers lose four digits in single.
    norm = torch.linalg.vector_norm(images, 6, (1, 2, 3), dtype=torch.float64)
    return norm.to(images.dtype) / images[0].numel()
