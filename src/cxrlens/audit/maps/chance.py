"""A random order of cells: what deletion, insertion and ROAD give where nothing points anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.maps.cells import cell_side, ranks, spread, summed
from cxrlens.audit.maps.impute import impute
from cxrlens.errors import UserError

Kind = Literal["deletion", "insertion", "road"]
Predict = Callable[[Tensor], np.ndarray]
BATCH = 16


@dataclass(frozen=True, eq=False)
class Chance:
    """One kind of curve in a random order: the same for every method, so it is asked of a network once.

    Attributes:
        kind: of curve.
        taken: cells taken or given at each step, [steps + 1].
        logits: of each image at each step, [n, steps + 1].
        side: of a cell, in pixels.
        baseline: grey of what is missing.
        noise: of ROAD.
    """

    kind: Kind
    taken: np.ndarray
    logits: np.ndarray
    side: int
    baseline: float
    noise: float


def chance(
    kind: Kind,
    images: np.ndarray,
    predict: Predict,
    generator: np.random.Generator,
    side: int | None = None,
    steps: int = 10,
    baseline: float = 0.0,
    noise: float = 0.01,
) -> Chance:
    """What a random order of cells gives.

    Args:
        kind: "deletion" and "insertion" put `baseline` where a cell is missing; "road" fills it from its neighbours.
        images: [n, h, w] in [0, 1].
        predict: logits [m] of images [m, 1, h, w], in the images' precision; at most 16 at once.
        generator: the randomness of the order and of ROAD's noise.
        side: of a cell, in pixels; a 28th of the image's shorter side where none is given.
        steps: in which all cells go, as equal as whole cells can be.
        baseline: grey of what is missing, in the images' units.
        noise: of ROAD, see `impute`.

    Raises:
        UserError: an unknown kind, images of another shape, or more steps than cells.
    """
    if kind not in get_args(Kind):
        raise UserError(f"unknown kind of curve '{kind}'; known: {', '.join(get_args(Kind))}")
    if images.ndim != 3:
        raise UserError(f"curves need images [n, h, w]; got {images.shape}")
    side = cell_side((images.shape[1], images.shape[2])) if side is None else side
    grid = summed(np.zeros(images.shape), side)
    cells = grid[0].size if len(grid) else 0
    if not 1 <= steps <= cells:
        raise UserError(f"curves need 1 to {cells} steps, the cells of an image; got {steps}")
    taken = np.round(np.linspace(0, cells, steps + 1)).astype(int)
    logits = np.full((len(images), steps + 1), np.nan)
    for row, order in enumerate(ranks(grid, generator)):
        steps_of = variants(kind, images[row], order < taken[:, None, None], side, baseline, noise, generator)
        logits[row] = scores(predict, steps_of)
    return Chance(kind, taken, logits, side, baseline, noise)


def variants(
    kind: Kind,
    image: np.ndarray,
    chosen: np.ndarray,
    side: int,
    baseline: float,
    noise: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """The image [h, w] at each step, [s, h, w]; `chosen` cells [s, h', w'] are missing, or alone there in insertion."""
    size = (image.shape[0], image.shape[1])
    there = ~spread(chosen, side, size)
    if kind == "insertion":
        there = ~there
    if kind != "road":
        return np.where(there, image, np.asarray(baseline, image.dtype))
    # The system is solved for the cells' means, a filled cell is even: some hundred unknowns, not 50 000.
    means = summed(image[None].astype(float), side) / summed(np.ones((1, *size)), side)
    filled = impute(np.broadcast_to(means, chosen.shape), chosen, noise, generator)
    return np.where(there, image, spread(filled, side, size)).astype(image.dtype)


def scores(predict: Predict, images: np.ndarray) -> np.ndarray:
    """Logits of images [s, h, w], at most 16 at once, [s]."""
    parts: Iterator[Tensor] = iter(torch.from_numpy(images)[:, None].split(BATCH))
    return np.concatenate([np.asarray(predict(some), float) for some in parts])
