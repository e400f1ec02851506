"""Noisy linear imputation (Rong et al. 2022, "ROAD", arXiv:2202.00449): filling so that no mask shows.

A constant in place of the removed leaves the mask's outline in the image, which tells the network what the map was; the
weighted mean of the neighbours hardly does.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from cxrlens.errors import UserError

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
