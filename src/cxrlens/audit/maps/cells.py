"""The cells that a map is judged by: squares of pixels, ranked by the evidence in them."""

from __future__ import annotations

import numpy as np

from cxrlens.errors import UserError

ACROSS = 28  # cells across an image, where no side is told


def cell_side(size: tuple[int, int]) -> int:
    """Pixels along a cell's side: 8 of 224, 1 of a small image."""
    return max(1, round(min(size) / ACROSS))


def summed(maps: np.ndarray, side: int) -> np.ndarray:
    """Sums over cells, [n, h, w] → [n, h', w']; the last row and column of cells hold what is left.

    >>> summed(np.ones((1, 3, 4)), 2).tolist()
    [[[4.0, 4.0], [2.0, 2.0]]]
    """
    for axis in (1, 2):
        maps = np.add.reduceat(maps, np.arange(0, maps.shape[axis], side), axis=axis)
    return maps


def spread(cells: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    """Each cell's value at all its pixels, [n, h', w'] → [n, h, w]."""
    return cells.repeat(side, axis=1).repeat(side, axis=2)[:, : size[0], : size[1]]


def ranks(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The place of each cell in the order of evidence, most first from 0, int [n, h', w'].

    Ties go by chance: a map's empty half must not be taken away from the top down.

    Args:
        cells: finite, [n, h', w'].
        generator: the randomness.
    """
    if not np.isfinite(cells).all():
        raise UserError("cells can't be ranked: the maps must be finite; look at what `attribute` was given")
    flat = cells.reshape(len(cells), -1)
    order = np.lexsort((generator.random(flat.shape), -flat), axis=1)
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(flat.shape[1])[None].repeat(len(flat), axis=0), axis=1)
    return found.reshape(cells.shape)
