"""The image plane in centimetres: the position of the patient before the detector, and of the pixels in the body.

Axes: x to the right of the image (the patient's left), y down from the lung apex, z towards the front of the chest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DESIGN_WIDTH = 34.5  # cm across the detector at zoom 1


@dataclass(frozen=True)
class Pose:
    """The position of the patient before the detector in an image.

    Attributes:
        zoom: magnification; above 1 the image shows less of the body.
        shift: shift (x, y) of the body on the detector in cm.
        roll: rotation in the image plane in radians.
        turn: shift of x per cm of depth in cm, from a rotation of the patient about the spine.
        tilt: shift of y per cm of depth in cm, from a beam that is angled to the head or the feet.
    """

    zoom: float
    shift: tuple[float, float]
    roll: float
    turn: float
    tilt: float


@dataclass(frozen=True)
class Grid:
    """The pixels of an image in body coordinates.

    Attributes:
        x: x of each pixel in cm, float32 [height, width].
        y: y of each pixel in cm, float32 [height, width].
        scale: pixels per cm.
        pose: position of the patient.
    """

    x: np.ndarray
    y: np.ndarray
    scale: float
    pose: Pose

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.x.shape
        return height, width

    def pixels_of(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Projects body points, [..., 3] in cm, to pixel columns and rows, both float [...]."""
        pose, (height, width) = self.pose, self.shape
        x = points[..., 0] + pose.turn * points[..., 2] + pose.shift[0]
        y = points[..., 1] + pose.tilt * points[..., 2] + pose.shift[1] - CENTRE_Y
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        return (cos * x - sin * y) * self.scale + width / 2, (sin * x + cos * y) * self.scale + height / 2


CENTRE_Y = 12.5  # cm below the apex, where a radiographer centres the beam


def make_grid(shape: tuple[int, int], pose: Pose) -> Grid:
    """The body coordinates at depth 0 of all pixels of an image.

    Args:
        shape: height and width in pixels.
        pose: position of the patient.
    """
    height, width = shape
    scale = width / DESIGN_WIDTH * pose.zoom
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    u, v = (columns - width / 2) / scale, (rows - height / 2) / scale
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    x, y = cos * u + sin * v - pose.shift[0], -sin * u + cos * v - pose.shift[1] + CENTRE_Y
    return Grid(x.astype(np.float32), y.astype(np.float32), scale, pose)


# Smooth random fields: coarse noise, interpolated with cubic B-splines and summed over octaves.


def _taps(length: int, knots: int) -> tuple[np.ndarray, np.ndarray]:
    """The first knot, [length], and the four cubic B-spline weights, [4, length], of each of `length` positions."""
    position = (np.arange(length) + 0.5) / length * (knots - 3)
    first = np.minimum(position.astype(int), knots - 4)
    t = (position - first).astype(np.float32)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return first, weights


def upsample(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Interpolates a coarse array to a smooth field.

    Matrix products are avoided, so that the result does not depend on the number of threads.

    Args:
        coarse: float32 [n, m], with n and m at least 4.
        shape: height and width of the field.

    Returns:
        float32 of `shape`.
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
        rng: random generator of the noise.
        shape: height and width of the field.
        first: cells of the coarsest octave along the longer side; each further octave has twice as many.
        octaves: number of octaves.
        roughness: amplitude of an octave relative to the previous one.
    """
    longest, total, power = max(shape), np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        cells = [max(1, round(first * 2**octave * side / longest)) + 3 for side in shape]
        coarse = rng.standard_normal((cells[0], cells[1]), dtype=np.float32)
        amplitude = roughness**octave
        total += amplitude * upsample(coarse, shape)
        power += (amplitude * 0.48) ** 2  # in 2-D a cubic B-spline keeps about 0.48² of the variance of white noise
    return total / np.float32(np.sqrt(power))
