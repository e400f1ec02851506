"""Faithfulness: does the logit follow what the map points at?

Deletion and insertion (RISE, Petsiuk et al. 2018, arXiv:1806.07421) and ROAD (Rong et al. 2022, arXiv:2202.00449, most
relevant first), each against a random order of the same cells.

Curves are of the logit as it is, in its own units, over the share of cells taken (deletion, ROAD) or given (insertion).
What supports the logit, where it goes first, makes deletion and ROAD fall early (a small area) and insertion rise early
(a large one). Nothing is normalised, so areas of different models are not comparable; `difference` says of each, in its
logit's units, how much better than chance it is: positive is better, whichever the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients

# Noisy linear imputation (Rong et al. 2022, "ROAD", arXiv:2202.00449): filling so that no mask shows.
#
# A constant in place of the removed leaves the mask's outline in the image, which tells the network what the map was;
# the weighted mean of the neighbours hardly does.

NEIGHBOURS = [(y, x, 1 / 6 if 0 in (y, x) else 1 / 12) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def impute(
    images: np.ndarray, removed: np.ndarray, noise: float = 0.01, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Images whose removed pixels are the weighted means of their neighbours, all at once, and some noise.

    A direct neighbour weighs 1/6 and a diagonal one 1/12; at the rim those that are there share the whole. Without
    noise no value leaves the range of what was kept; noise is not clipped. Where everything is removed nothing is left
    to fill from: the image becomes its own mean.

    Args:
        images: [n, h, w]; left as they are.
        removed: bool [h, w], one mask for all images (solved once), or [n, h, w].
        noise: standard deviation of what is added to each filled pixel, in the images' units.
        rng: the noise's randomness; there is none without it.

    Returns:
        [n, h, w], of the images' kind.

    Raises:
        UserError: shapes that don't fit.

    >>> impute(np.array([[[0.0, 9.0, 1.0]]]), np.array([[False, True, False]])).tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    if images.ndim != 3 or removed.shape not in (images.shape, images.shape[1:]) or removed.dtype != bool:
        raise UserError(
            f"impute needs images [n, h, w] and a bool mask [h, w] or [n, h, w]; got {images.shape} and "
            f"{removed.dtype} {removed.shape}"
        )
    flat = images.reshape(len(images), -1).astype(float)
    masks = np.broadcast_to(removed, images.shape).reshape(flat.shape)
    kinds, of_image = (masks[:1], np.zeros(len(flat), int)) if removed.ndim == 2 else _alike(masks)
    for number, mask in enumerate(kinds):
        rows = np.flatnonzero(of_image == number)
        if len(rows) and mask.any():
            flat[np.ix_(rows, mask)] = _solved(flat[rows], mask, images.shape[1:])
    if rng is not None and noise > 0:
        flat[masks] += noise * rng.standard_normal(int(masks.sum()))
    return flat.reshape(images.shape).astype(images.dtype)


def _alike(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masks that differ, and which of them each image has."""
    _, first, of_image = np.unique(np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True)
    return masks[first], of_image.ravel()


def _solved(values: np.ndarray, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The removed pixels [n, k] of images [n, h · w]."""
    if mask.all():
        return np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape)
    height, width = shape
    places = np.flatnonzero(mask)
    unknown = np.full(mask.size, -1)
    unknown[places] = np.arange(len(places))
    y, x = np.divmod(places, width)
    rows, columns, weights = [], [], []
    for dy, dx, weight in NEIGHBOURS:
        inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        rows.append(np.flatnonzero(inside))
        columns.append((places + dy * width + dx)[inside])
        weights.append(np.full(int(inside.sum()), weight))
    row, column, weight = (np.concatenate(each) for each in (rows, columns, weights))
    weight /= np.bincount(row, weights=weight)[row]  # at the rim
    inner = unknown[column] >= 0
    among = sparse.csc_matrix((weight[inner], (row[inner], unknown[column[inner]])), shape=(len(places),) * 2)
    given = sparse.csr_matrix((weight[~inner], (row[~inner], column[~inner])), shape=(len(places), mask.size))
    known = given @ values.T
    return splu(sparse.identity(len(places), format="csc") - among).solve(known).T


# The cells that a map is judged by: squares of pixels, ranked by the evidence in them.

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


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """A method's maps of one network, by one kind of taking away.

    Attributes:
        kind: of curve.
        share: of cells taken or given, [steps + 1], from 0 to 1.
        curve: mean score at each share in the map's order, [steps + 1]; NaN where no image has evidence.
        random_curve: the same in a random order.
        area: under the map's curve (trapezoids), mean over images.
        random_area: under the random order's.
        difference: per image, oriented so that positive is better than a random order.
        without_evidence: images left out because their map is all zeros.
        side: of a cell, in pixels.
    """

    kind: Kind
    share: np.ndarray
    curve: np.ndarray
    random_curve: np.ndarray
    area: MeanEstimate
    random_area: MeanEstimate
    difference: MeanEstimate
    without_evidence: int
    side: int

    @property
    def better(self) -> bool:
        """Whether the interval says that the map's order beats a random one."""
        return self.difference.low > 0

    @property
    def worse(self) -> bool:
        """Whether it says that a random order is better."""
        return self.difference.high < 0


def faithfulness(
    by_chance: Chance,
    maps: np.ndarray,
    images: np.ndarray,
    patients: np.ndarray,
    predict: Predict,
    generator: np.random.Generator,
    signs: np.ndarray | None = None,
    level: float = 0.95,
) -> Faithfulness:
    """Curves of one kind in the map's order and in a random one, with an interval over patients.

    Whole images, and images without any cell, are the same in every order: they are asked once, with chance.

    Args:
        by_chance: of the same images and network.
        maps: at the images' size, [n, h, w]; the largest value goes first, so signed maps keep their sign.
        images: [n, h, w] in [0, 1].
        patients: [n].
        predict: as for `chance`.
        generator: the randomness of ties and of ROAD's noise.
        signs: 1 or -1 of each image, [n]: the score is the logit times it. A map of what speaks against the logit is
            -1; so is a magnitude, which does not say for what it speaks, where it shall stand for a negative decision.
        level: of the intervals.

    Raises:
        UserError: shapes that differ, or maps that are not finite.
    """
    if maps.shape != images.shape or maps.ndim != 3 or not len(patients) == len(by_chance.logits) == len(images):
        raise UserError(
            f"maps and images must be [n, h, w] alike, with n patients; got {maps.shape}, {images.shape}, "
            f"{len(patients)} and chance of {len(by_chance.logits)}"
        )
    kind, taken = by_chance.kind, by_chance.taken
    evidence, known = summed(maps.astype(float), by_chance.side), np.any(maps, axis=(1, 2))
    sign = np.ones((len(images), 1)) if signs is None else np.asarray(signs, float)[:, None]
    found = np.stack([by_chance.logits, by_chance.logits])
    for row, order in enumerate(ranks(evidence, generator)):
        if known[row] and len(taken) > 2:
            chosen = order < taken[1:-1, None, None]
            steps = variants(kind, images[row], chosen, by_chance.side, by_chance.baseline, by_chance.noise, generator)
            found[0, row, 1:-1] = scores(predict, steps)
    found = np.where(known[:, None], sign * found, np.nan)
    share = taken / taken[-1]
    areas = ((found[..., 1:] + found[..., :-1]) / 2 * np.diff(share)).sum(-1)
    gain = areas[0] - areas[1] if kind == "insertion" else areas[1] - areas[0]
    area, random_area, difference = (mean_over_patients(each, patients, level=level) for each in (*areas, gain))
    curves = found[:, known].mean(axis=1) if known.any() else found[:, :1].reshape(2, -1)
    return Faithfulness(
        kind, share, curves[0], curves[1], area, random_area, difference, int((~known).sum()), by_chance.side
    )


# A random order of cells: what deletion, insertion and ROAD give where nothing points anywhere.

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
