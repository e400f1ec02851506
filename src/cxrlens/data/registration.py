"""Whether two X-rays are the same exposure.

Small images of two chests look alike, so a perceptual hash or a plain correlation pairs different people. An X-ray
that is published twice may be cropped, annotated and re-windowed, so equal pixels do not find it. Here one image is
warped onto the other (shift and scale along each axis: Gauss-Newton on rank-equalised images, as in Lucas & Kanade
1981). Then detail finer than a rib is correlated: it agrees in copies and is unrelated in two people.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

COARSE, MIDDLE, FINE = 28, 56, 112  # pixels a side at the three steps
LIKELY = 0.85  # coarse correlation after alignment that a pair needs for the fine comparison
BLUR = 4.0  # pixels at FINE: width of the Gaussian that is subtracted to leave the detail
LEAST_OVERLAP = 0.4  # of the image's area
BATCH = 128  # pairs or images at a time


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Reduces uint8 [n, h, w] by area means to float32 [n, side, side]; a smaller image is enlarged by repetition."""
    shrunk = pixels.astype(np.float32)
    for axis in (1, 2):
        length = pixels.shape[axis]
        if length <= side:
            shrunk = shrunk.take(np.arange(side) * length // side, axis=axis)
            continue
        edges = np.linspace(0, length, side + 1).round().astype(int)
        widths = np.diff(edges).reshape([-1 if other == axis else 1 for other in range(3)])
        shrunk = np.add.reduceat(shrunk, edges[:-1], axis=axis) / widths.astype(np.float32)
    return shrunk


def equalise(images: np.ndarray) -> np.ndarray:
    """Replaces each pixel by its rank in its image, from -0.5 to 0.5, so that window and gamma do not matter."""
    flat = images.reshape(len(images), -1)
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (ranks / (flat.shape[1] - 1) - 0.5).astype(np.float32).reshape(images.shape)


def correlate(first: np.ndarray, second: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Pearson correlation [n] of pairs of images [n, s, s] over the pixels `valid`; 0 where an image is constant."""
    count = np.maximum(valid.sum(axis=(1, 2)), 1)

    def centred(image: np.ndarray) -> np.ndarray:
        mean = np.where(valid, image, 0).sum(axis=(1, 2)) / count
        return np.where(valid, image - mean[:, None, None], 0)

    a, b = centred(first), centred(second)
    power = (a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2))
    return np.where(power > 1e-9, (a * b).sum(axis=(1, 2)) / np.sqrt(np.maximum(power, 1e-9)), 0.0)


class Comparer:
    """Compares pairs of images of a set.

    Args:
        pixels: images as uint8 [n, size, size]; may be memory-mapped, since only likely pairs are read again.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        blocks = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
        self._coarse = np.concatenate([equalise(shrink(block, COARSE)) for block in blocks])

    def similarity(
        self, first: np.ndarray, second: np.ndarray, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Correlation of the aligned fine detail of pairs, [m] in [-1, 1]; 0 for a pair that differs at coarse size.

        Args:
            first: index of the first image of each pair, int [m].
            second: index of the second image of each pair, int [m].
            progress: called with (pairs compared, pairs in all).
        """
        result = np.zeros(len(first))
        for start in range(0, len(first), BATCH):
            one, other = first[start : start + BATCH], second[start : start + BATCH]
            result[start : start + BATCH] = np.maximum(self._one_way(one, other), self._one_way(other, one))
            if progress is not None:
                progress(min(start + BATCH, len(first)), len(first))
        return result

    def _one_way(self, still: np.ndarray, moved: np.ndarray) -> np.ndarray:
        result = np.zeros(len(still))
        warp = align(self._coarse[still], self._coarse[moved], np.tile([1.0, 1.0, 0.0, 0.0], (len(still), 1)), steps=12)
        warped, valid = sample(self._coarse[moved], warp)
        coarse = correlate(self._coarse[still], warped, valid)
        likely = np.flatnonzero((coarse > LIKELY) & (valid.mean(axis=(1, 2)) > LEAST_OVERLAP))
        if not len(likely):
            return result
        images, position = np.unique(np.concatenate([still[likely], moved[likely]]), return_inverse=True)
        still, moved = position[: len(likely)], position[len(likely) :]
        middle = equalise(shrink(self._pixels[images], MIDDLE))
        fine = detail(equalise(shrink(self._pixels[images], FINE)))
        warp = align(middle[still], middle[moved], warp[likely], steps=8)
        warped, valid = sample(fine[moved], warp)
        similarity = correlate(fine[still], warped, valid)
        result[likely] = np.where(valid.mean(axis=(1, 2)) > LEAST_OVERLAP, similarity, 0.0)
        return result


def detail(images: np.ndarray) -> np.ndarray:
    """The fine detail of images [n, s, s]: the difference from their Gaussian blur."""
    return images - ndimage.gaussian_filter(images, (0, BLUR, BLUR))


def align(still: np.ndarray, moved: np.ndarray, warp: np.ndarray, steps: int) -> np.ndarray:
    """Finds the warp that aligns `moved` with `still` by Gauss-Newton, with free brightness and contrast.

    Args:
        still: fixed images, [n, s, s].
        moved: images to be warped, [n, s, s].
        warp: initial warp [n, 4]: vertical and horizontal scale, then vertical and horizontal shift, in image sides
            about the centre.
        steps: number of Gauss-Newton steps.

    Returns:
        The warp of each pair, [n, 4].
    """
    side = still.shape[1]
    down, across = centred_grid(side)
    slope_down, slope_across = (np.gradient(moved, 1 / side, axis=axis) for axis in (1, 2))
    for _ in range(steps):
        warped, valid = sample(moved, warp)
        by_down, by_across = sample(slope_down, warp)[0], sample(slope_across, warp)[0]
        columns = (by_down * down, by_across * across, by_down, by_across, warped, np.ones_like(warped))
        design = np.stack([np.where(valid, column, 0).reshape(len(still), -1) for column in columns], axis=-1)
        normal = design.transpose(0, 2, 1) @ design + 1e-6 * np.eye(6)
        right = design.transpose(0, 2, 1) @ still.reshape(len(still), -1, 1)
        solution = np.linalg.solve(normal, right)[..., 0]
        contrast = np.maximum(solution[:, 4:5], 0.3)  # the slopes are multiplied by it
        warp = warp + np.clip(solution[:, :4] / contrast, -0.1, 0.1)
        warp = np.clip(warp, [0.6, 0.6, -0.3, -0.3], [1.6, 1.6, 0.3, 0.3])
    return warp


def sample(images: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples images [n, s, s] bilinearly at the warped grid.

    Returns:
        Values [n, s, s] and bool [n, s, s], True where the grid lies within the image.
    """
    count, side, _ = images.shape
    grid = np.linspace(0.5, side - 0.5, side) / side - 0.5
    y = (grid * warp[:, :1] + warp[:, 2:3] + 0.5) * side - 0.5
    x = (grid * warp[:, 1:2] + warp[:, 3:4] + 0.5) * side - 0.5
    valid = ((y >= 0) & (y <= side - 1))[:, :, None] & ((x >= 0) & (x <= side - 1))[:, None, :]
    y, x = y.clip(0, side - 1), x.clip(0, side - 1)
    top, left = np.minimum(y.astype(int), side - 2), np.minimum(x.astype(int), side - 2)
    part_y = (y - top).astype(np.float32)[:, :, None]
    part_x = (x - left).astype(np.float32)[:, None, :]
    batch = np.arange(count)[:, None]
    rows = images[batch, top] * (1 - part_y) + images[batch, top + 1] * part_y
    columns = rows.transpose(0, 2, 1)
    across = (
        columns[batch, left].transpose(0, 2, 1) * (1 - part_x) + columns[batch, left + 1].transpose(0, 2, 1) * part_x
    )
    return across, valid


def centred_grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres down [side, 1] and across [1, side], in image sides from the centre."""
    centres = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    return centres[:, None], centres[None, :]
