"""Faithfulness: whether the logit depends on the places that the map marks.

Deletion and insertion (RISE, Petsiuk et al. 2018, arXiv:1806.07421) and ROAD (Rong et al. 2022, arXiv:2202.00449, most
relevant first), each compared with a random order of the same cells.

A curve is the logit, in its own units, over the share of cells that are removed (deletion, ROAD) or inserted
(insertion). If the map's first cells support the logit, deletion and ROAD fall early (a small area) and insertion rises
early (a large area). Nothing is normalised, so areas of different models are not comparable. `difference` says, in
units of the logit, how much better than a random order a map is; for every kind of curve, positive is better.
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

# Noisy linear imputation (Rong et al. 2022, "ROAD", arXiv:2202.00449) fills pixels in so that the mask leaves no trace.
#
# A constant fill leaves the outline of the mask in the image, from which the network could read the map. The weighted
# mean of the neighbours hardly does.

NEIGHBOURS = [(y, x, 1 / 6 if 0 in (y, x) else 1 / 12) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def impute(
    images: np.ndarray, removed: np.ndarray, noise: float = 0.01, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Images in which each removed pixel is the weighted mean of its neighbours, solved jointly, plus noise.

    A direct neighbour weighs 1/6 and a diagonal one 1/12; at the edge of the image, the existing neighbours share the
    whole weight. Without noise, no value leaves the range of the remaining pixels. Noise is not clipped. Where all
    pixels
    are removed, the image becomes its own mean.

    Args:
        images: images, [n, h, w]; they are not changed.
        removed: mask of the removed pixels, bool [h, w] for all images (solved once), or [n, h, w].
        noise: standard deviation of the noise that is added to each filled pixel, in the images' units.
        rng: random number generator of the noise; without it there is no noise.

    Returns:
        Images, [n, h, w], of the same dtype.

    Raises:
        UserError: the shapes do not fit.

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
    distinct, of_image = (masks[:1], np.zeros(len(flat), int)) if removed.ndim == 2 else _distinct(masks)
    for number, mask in enumerate(distinct):
        rows = np.flatnonzero(of_image == number)
        if len(rows) and mask.any():
            flat[np.ix_(rows, mask)] = _solved(flat[rows], mask, images.shape[1:])
    if rng is not None and noise > 0:
        flat[masks] += noise * rng.standard_normal(int(masks.sum()))
    return flat.reshape(images.shape).astype(images.dtype)


def _distinct(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct masks, and the index of each image's mask among them."""
    _, first, of_image = np.unique(np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True)
    return masks[first], of_image.ravel()


def _solved(values: np.ndarray, mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Values of the k removed pixels of each image, [n, k], from images [n, h · w]."""
    if mask.all():
        return np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape)
    height, width = shape
    removed = np.flatnonzero(mask)
    number_of = np.full(mask.size, -1)
    number_of[removed] = np.arange(len(removed))
    y, x = np.divmod(removed, width)
    rows, columns, weights = [], [], []
    for dy, dx, weight in NEIGHBOURS:
        inside = (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        rows.append(np.flatnonzero(inside))
        columns.append((removed + dy * width + dx)[inside])
        weights.append(np.full(int(inside.sum()), weight))
    row, column, weight = (np.concatenate(parts) for parts in (rows, columns, weights))
    weight /= np.bincount(row, weights=weight)[row]  # at the edge of the image
    count, from_removed = len(removed), number_of[column] >= 0
    entries = (row[from_removed], number_of[column[from_removed]])
    among_removed = sparse.csc_matrix((weight[from_removed], entries), shape=(count, count))
    entries = (row[~from_removed], column[~from_removed])
    from_kept = sparse.csr_matrix((weight[~from_removed], entries), shape=(count, mask.size))
    return splu(sparse.identity(count, format="csc") - among_removed).solve(from_kept @ values.T).T


# Cells are squares of pixels, ranked by the evidence in them.

ACROSS = 28  # default number of cells across an image


def cell_side(size: tuple[int, int]) -> int:
    """Default side of a cell in pixels: 8 for 224 pixels, 1 for a small image."""
    return max(1, round(min(size) / ACROSS))


def summed(maps: np.ndarray, side: int) -> np.ndarray:
    """Sums over cells, [n, h, w] → [n, h', w']; the last row and column of cells may be smaller.

    >>> summed(np.ones((1, 3, 4)), 2).tolist()
    [[[4.0, 4.0], [2.0, 2.0]]]
    """
    for axis in (1, 2):
        maps = np.add.reduceat(maps, np.arange(0, maps.shape[axis], side), axis=axis)
    return maps


def spread(cells: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    """The value of each cell at all its pixels, [n, h', w'] → [n, h, w]."""
    return cells.repeat(side, axis=1).repeat(side, axis=2)[:, : size[0], : size[1]]


def ranks(cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The rank of each cell by its evidence, 0 for the most, int [n, h', w'].

    Ties are ordered at random: the empty half of a map must not be removed from the top down.

    Args:
        cells: evidence of each cell, finite, [n, h', w'].
        generator: random number generator.
    """
    if not np.isfinite(cells).all():
        raise UserError("cells cannot be ranked: the maps must be finite; check the input of `attribute`")
    flat = cells.reshape(len(cells), -1)
    order = np.lexsort((generator.random(flat.shape), -flat), axis=1)
    result = np.empty_like(order)
    np.put_along_axis(result, order, np.arange(flat.shape[1])[None].repeat(len(flat), axis=0), axis=1)
    return result.reshape(cells.shape)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Faithfulness of a method's maps of one network, by one kind of curve.

    Attributes:
        kind: kind of curve.
        share: share of cells removed or inserted at each step, from 0 to 1, [steps + 1].
        curve: mean score at each step in the map's order, [steps + 1]; NaN where no image has evidence.
        random_curve: mean score at each step in a random order, [steps + 1].
        area: area under the curve in the map's order (trapezoids), mean over images.
        random_area: area under the curve in a random order, mean over images.
        difference: difference of the areas, mean over images; positive is better than a random order.
        without_evidence: number of images left out because their map is zero everywhere.
        side: side of a cell, in pixels.
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
        """Whether the map's order is better than a random order, by the interval."""
        return self.difference.low > 0

    @property
    def worse(self) -> bool:
        """Whether the map's order is worse than a random order, by the interval."""
        return self.difference.high < 0


def faithfulness(
    random: RandomOrder,
    maps: np.ndarray,
    images: np.ndarray,
    patients: np.ndarray,
    predict: Predict,
    generator: np.random.Generator,
    signs: np.ndarray | None = None,
    level: float = 0.95,
) -> Faithfulness:
    """Curves of one kind in the map's order and in a random order, with intervals over patients.

    Whole images and images without any cell are the same in every order, so `random` has their logits already.

    Args:
        random: curves in a random order, of the same images and network.
        maps: maps at the size of the images, [n, h, w]; the largest values go first, so signed maps keep their sign.
        images: images, [n, h, w] in [0, 1].
        patients: patient of each image, [n].
        predict: logits [m] of images [m, 1, h, w], see `random_order`.
        generator: random number generator of ties and of ROAD's noise.
        signs: sign of each image, 1 or -1, [n]; the score is the logit times the sign. It is -1 for a map of evidence
            against the positive class, and for a magnitude map of a negative prediction.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: shapes differ, or maps are not finite.
    """
    if maps.shape != images.shape or maps.ndim != 3 or not len(patients) == len(random.logits) == len(images):
        raise UserError(
            f"maps and images must have the same shape [n, h, w], with n patients; got {maps.shape}, {images.shape}, "
            f"{len(patients)} patients, and a random order of {len(random.logits)} images"
        )
    kind, cells = random.kind, random.cells
    evidence, known = summed(maps.astype(float), random.side), np.any(maps, axis=(1, 2))
    sign = np.ones((len(images), 1)) if signs is None else np.asarray(signs, float)[:, None]
    logits = np.stack([random.logits, random.logits])
    for row, order in enumerate(ranks(evidence, generator)):
        if known[row] and len(cells) > 2:
            selected = order < cells[1:-1, None, None]
            steps = variants(kind, images[row], selected, random.side, random.baseline, random.noise, generator)
            logits[0, row, 1:-1] = scores(predict, steps)
    by_order = np.where(known[:, None], sign * logits, np.nan)
    share = cells / cells[-1]
    areas = ((by_order[..., 1:] + by_order[..., :-1]) / 2 * np.diff(share)).sum(-1)
    gain = areas[0] - areas[1] if kind == "insertion" else areas[1] - areas[0]
    area, random_area, difference = (mean_over_patients(values, patients, level=level) for values in (*areas, gain))
    curves = by_order[:, known].mean(axis=1) if known.any() else by_order[:, :1].reshape(2, -1)
    return Faithfulness(
        kind, share, curves[0], curves[1], area, random_area, difference, int((~known).sum()), random.side
    )


Kind = Literal["deletion", "insertion", "road"]
Predict = Callable[[Tensor], np.ndarray]
BATCH = 16


@dataclass(frozen=True, eq=False)
class RandomOrder:
    """One kind of curve in a random order of cells, which is computed once for all methods.

    Attributes:
        kind: kind of curve.
        cells: number of cells removed or inserted at each step, [steps + 1].
        logits: logit of each image at each step, [n, steps + 1].
        side: side of a cell, in pixels.
        baseline: grey value of missing cells.
        noise: standard deviation of ROAD's noise.
    """

    kind: Kind
    cells: np.ndarray
    logits: np.ndarray
    side: int
    baseline: float
    noise: float


def random_order(
    kind: Kind,
    images: np.ndarray,
    predict: Predict,
    generator: np.random.Generator,
    side: int | None = None,
    steps: int = 10,
    baseline: float = 0.0,
    noise: float = 0.01,
) -> RandomOrder:
    """Curves of one kind in a random order of cells.

    Args:
        kind: kind of curve; "deletion" and "insertion" put `baseline` where a cell is missing, "road" fills it in from
            its
            neighbours.
        images: images, [n, h, w] in [0, 1].
        predict: function that returns the logits [m] of images [m, 1, h, w], at most 16 at once.
        generator: random number generator of the order and of ROAD's noise.
        side: side of a cell, in pixels; by default a 28th of the image's shorter side.
        steps: number of steps in which all cells are removed or inserted, of nearly equal numbers of cells.
        baseline: grey value of missing cells, in the images' units.
        noise: standard deviation of ROAD's noise, see `impute`.

    Raises:
        UserError: the kind is unknown, the images have another shape, or there are more steps than cells.
    """
    if kind not in get_args(Kind):
        raise UserError(f"unknown kind of curve '{kind}'; known: {', '.join(get_args(Kind))}")
    if images.ndim != 3:
        raise UserError(f"curves need images [n, h, w]; got {images.shape}")
    side = cell_side((images.shape[1], images.shape[2])) if side is None else side
    grid = summed(np.zeros(images.shape), side)
    count = grid[0].size if len(grid) else 0
    if not 1 <= steps <= count:
        raise UserError(f"curves need 1 to {count} steps, at most one for each cell of an image; got {steps}")
    cells = np.round(np.linspace(0, count, steps + 1)).astype(int)
    logits = np.full((len(images), steps + 1), np.nan)
    for row, order in enumerate(ranks(grid, generator)):
        of_steps = variants(kind, images[row], order < cells[:, None, None], side, baseline, noise, generator)
        logits[row] = scores(predict, of_steps)
    return RandomOrder(kind, cells, logits, side, baseline, noise)


def variants(
    kind: Kind,
    image: np.ndarray,
    selected: np.ndarray,
    side: int,
    baseline: float,
    noise: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """The image [h, w] at each step, [s, h, w]: selected cells (bool [s, h', w']) are removed, or alone inserted."""
    size = (image.shape[0], image.shape[1])
    visible = ~spread(selected, side, size)
    if kind == "insertion":
        visible = ~visible
    if kind != "road":
        return np.where(visible, image, np.asarray(baseline, image.dtype))
    # Solved for the means of the cells, so that a filled cell has one value: some hundred unknowns, not 50 000.
    means = summed(image[None].astype(float), side) / summed(np.ones((1, *size)), side)
    filled = impute(np.broadcast_to(means, selected.shape), selected, noise, generator)
    return np.where(visible, image, spread(filled, side, size)).astype(image.dtype)


def scores(predict: Predict, images: np.ndarray) -> np.ndarray:
    """Logits of images [s, h, w], at most 16 at once, [s]."""
    batches: Iterator[Tensor] = iter(torch.from_numpy(images)[:, None].split(BATCH))
    return np.concatenate([np.asarray(predict(batch), float) for batch in batches])
