"""Smooth random fields: coarse noise read with cubic B-splines, summed over octaves."""

from __future__ import annotations

import numpy as np


def _taps(length: int, knots: int) -> tuple[np.ndarray, np.ndarray]:
    """First knot [length] and the four cubic B-spline weights [4, length] of each of `length` positions."""
    position = (np.arange(length) + 0.5) / length * (knots - 3)
    first = np.minimum(position.astype(int), knots - 4)
    t = (position - first).astype(np.float32)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return first, weights


def upsample(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A float32 [n, m] array (n, m of at least 4) as a smooth float32 field of `shape`.

    Written out, without matrix products, so that the bytes do not depend on the number of threads.
    """
    first, weights = _taps(shape[0], coarse.shape[0])
    tall = sum(weights[k][:, None] * coarse[first + k] for k in range(4))
    first, weights = _taps(shape[1], coarse.shape[1])
    tall = np.ascontiguousarray(np.asarray(tall, np.float32).T)
    wide = sum(weights[k][:, None] * tall[first + k] for k in range(4))
    return np.ascontiguousarray(np.asarray(wide, np.float32).T)


def cloud(
    rng: np.random.Generator, shape: tuple[int, int], first: int = 5, octaves: int = 4, roughness: float = 0.6
) -> np.ndarray:
    """Fractal noise: float32 of `shape`, mean about 0, standard deviation about 1.

    Args:
        rng: where it comes from.
        shape: height and width.
        first: cells of the coarsest octave across the longer side; each next octave has twice as many.
        octaves: how many.
        roughness: amplitude of an octave relative to the one before.
    """
    longest, total, power = max(shape), np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        cells = [max(1, round(first * 2**octave * side / longest)) + 3 for side in shape]
        coarse = rng.standard_normal((cells[0], cells[1]), dtype=np.float32)
        amplitude = roughness**octave
        total += amplitude * upsample(coarse, shape)
        power += (
            amplitude * 0.48
        ) ** 2  # a cubic B-spline keeps about 0.48² of white noise's variance in two dimensions
    return total / np.float32(np.sqrt(power))
