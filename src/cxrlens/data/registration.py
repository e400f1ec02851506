"""Whether two X-rays are the same exposure: one is laid over the other, then their fine detail is compared.

Two chests look alike when small, so a perceptual hash or a plain correlation pairs strangers; and the same X-ray
published twice is cropped, annotated and re-windowed, so equal pixels miss it. Here one image is warped onto the
other (shift and scale along each axis: Gauss-Newton on rank-equalised images, as in Lucas & Kanade 1981), and what
is correlated is detail finer than a rib: the same in copies, unrelated in two people.
All of it runs on many pairs at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

COARSE, MIDDLE, FINE = 28, 56, 112  # pixels a side at the three steps
LIKELY = 0.85  # coarse correlation once aligned, below which a pair is not looked at more closely
BLUR = 4.0  # pixels at FINE: detail is what a Gaussian of this width takes away
LEAST_OVERLAP = 0.4  # of the image's area
BLOCK = 128  # pairs or images at a time


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Area means of uint8 [n, h, w] as float32 [n, side, side]; a smaller image is enlarged by repeating pixels."""
    shrunk = pixels.astype(np.float32)
    for axis in (1, 2):
        length = pixels.shape[axis]
        if length <= side:
            shrunk = shrunk.take(np.arange(side) * length // side, axis=axis)
            continue
        edges = np.linspace(0, length, side + 1).round().astype(int)
        widths = np.diff(edges).reshape([-1 if each == axis else 1 for each in range(3)])
        shrunk = np.add.reduceat(shrunk, edges[:-1], axis=axis) / widths.astype(np.float32)
    return shrunk


def equalise(images: np.ndarray) -> np.ndarray:
    """Each pixel's rank in its image, from -0.5 to 0.5: window and gamma no longer matter."""
    flat = images.reshape(len(images), -1)
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (ranks / (flat.shape[1] - 1) - 0.5).astype(np.float32).reshape(images.shape)


def correlate(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Pearson correlation of each pair of images [n, s, s] where `inside`; 0 where either is flat."""
    count = np.maximum(inside.sum(axis=(1, 2)), 1)

    def centred(image: np.ndarray) -> np.ndarray:
        mean = np.where(inside, image, 0).sum(axis=(1, 2)) / count
        return np.where(inside, image - mean[:, None, None], 0)

    a, b = centred(one), centred(other)
    power = (a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2))
    return np.where(power > 1e-9, (a * b).sum(axis=(1, 2)) / np.sqrt(np.maximum(power, 1e-9)), 0.0)


class Comparer:
    """Compares pairs of a set of images.

    Args:
        pixels: uint8 [n, size, size]; read again for the few pairs that are likely, so it may be memory-mapped.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        blocks = [pixels[start : start + BLOCK] for start in range(0, len(pixels), BLOCK)]
        self._coarse = np.concatenate([equalise(shrink(block, COARSE)) for block in blocks])

    def similarity(
        self, first: np.ndarray, second: np.ndarray, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Correlation of aligned fine detail, in [-1, 1]; 0 for a pair that is already unlike when coarse.

        Args:
            first: int [m], image numbers.
            second: int [m].
            progress: told (pairs compared, of how many).
        """
        result = np.zeros(len(first))
        for start in range(0, len(first), BLOCK):
            one, other = first[start : start + BLOCK], second[start : start + BLOCK]
            result[start : start + BLOCK] = np.maximum(self._one_way(one, other), self._one_way(other, one))
            if progress is not None:
                progress(min(start + BLOCK, len(first)), len(first))
        return result

    def _one_way(self, still: np.ndarray, moved: np.ndarray) -> np.ndarray:
        result = np.zeros(len(still))
        warp = align(self._coarse[still], self._coarse[moved], np.tile([1.0, 1.0, 0.0, 0.0], (len(still), 1)), steps=12)
        laid, inside = sample(self._coarse[moved], warp)
        alike = correlate(self._coarse[still], laid, inside)
        likely = np.flatnonzero((alike > LIKELY) & (inside.mean(axis=(1, 2)) > LEAST_OVERLAP))
        if not len(likely):
            return result
        images, place = np.unique(np.concatenate([still[likely], moved[likely]]), return_inverse=True)
        still, moved = place[: len(likely)], place[len(likely) :]
        middle = equalise(shrink(self._pixels[images], MIDDLE))
        fine = detail(equalise(shrink(self._pixels[images], FINE)))
        warp = align(middle[still], middle[moved], warp[likely], steps=8)
        laid, inside = sample(fine[moved], warp)
        close = correlate(fine[still], laid, inside)
        result[likely] = np.where(inside.mean(axis=(1, 2)) > LEAST_OVERLAP, close, 0.0)
        return result


def detail(images: np.ndarray) -> np.ndarray:
    """Images [n, s, s] without what a Gaussian keeps."""
    return images - ndimage.gaussian_filter(images, (0, BLUR, BLUR))


def align(still: np.ndarray, moved: np.ndarray, warp: np.ndarray, steps: int) -> np.ndarray:
    """Gauss-Newton for the warp that lays `moved` over `still`, brightness and contrast free.

    Args:
        still: [n, s, s].
        moved: [n, s, s].
        warp: [n, 4] to start from: scale down and across, shift down and across, in image sides about the centre.
        steps: how many.
    """
    side = still.shape[1]
    down, across = centred_grid(side)
    slope_down, slope_across = (np.gradient(moved, 1 / side, axis=axis) for axis in (1, 2))
    for _ in range(steps):
        laid, inside = sample(moved, warp)
        by_down, by_across = sample(slope_down, warp)[0], sample(slope_across, warp)[0]
        columns = (by_down * down, by_across * across, by_down, by_across, laid, np.ones_like(laid))
        design = np.stack([np.where(inside, column, 0).reshape(len(still), -1) for column in columns], axis=-1)
        normal = design.transpose(0, 2, 1) @ design + 1e-6 * np.eye(6)
        right = design.transpose(0, 2, 1) @ still.reshape(len(still), -1, 1)
        solution = np.linalg.solve(normal, right)[..., 0]
        contrast = np.maximum(solution[:, 4:5], 0.3)  # the slopes are multiplied by it
        warp = warp + np.clip(solution[:, :4] / contrast, -0.1, 0.1)
        warp = np.clip(warp, [0.6, 0.6, -0.3, -0.3], [1.6, 1.6, 0.3, 0.3])
    return warp


def sample(images: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear values [n, s, s] of images [n, s, s] at the warped grid, and where that is inside the image."""
    count, side, _ = images.shape
    grid = np.linspace(0.5, side - 0.5, side) / side - 0.5
    y = (grid * warp[:, :1] + warp[:, 2:3] + 0.5) * side - 0.5
    x = (grid * warp[:, 1:2] + warp[:, 3:4] + 0.5) * side - 0.5
    inside = ((y >= 0) & (y <= side - 1))[:, :, None] & ((x >= 0) & (x <= side - 1))[:, None, :]
    y, x = y.clip(0, side - 1), x.clip(0, side - 1)
    top, left = np.minimum(y.astype(int), side - 2), np.minimum(x.astype(int), side - 2)
    part_y = (y - top).astype(np.float32)[:, :, None]
    part_x = (x - left).astype(np.float32)[:, None, :]
    which = np.arange(count)[:, None]
    rows = images[which, top] * (1 - part_y) + images[which, top + 1] * part_y
    columns = rows.transpose(0, 2, 1)
    across = (
        columns[which, left].transpose(0, 2, 1) * (1 - part_x) + columns[which, left + 1].transpose(0, 2, 1) * part_x
    )
    return across, inside


def centred_grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres down [side, 1] and across [1, side], in image sides from the centre."""
    centres = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    return centres[:, None], centres[None, :]
