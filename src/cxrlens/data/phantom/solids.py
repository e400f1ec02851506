"""Shapes that organs are made of: chords along the beam of balls, walls and their unions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid

# the inside of the chest: half-width as a share of the widest, at depths (shares of the height) below the apex
_LEVELS = np.array([-0.15, 0.0, 0.05, 0.12, 0.25, 0.45, 0.7, 1.0, 1.25, 1.6])
_SHARES = np.array([0.30, 0.47, 0.58, 0.69, 0.83, 0.94, 1.0, 1.0, 0.97, 0.93])


def wall(body: Body, y: np.ndarray) -> np.ndarray:
    """Half-width of the inside of the chest at `y` (cm below the apex)."""
    fine = np.linspace(_LEVELS[0], _LEVELS[-1], 200)
    smooth = ndimage.gaussian_filter1d(np.interp(fine, _LEVELS, _SHARES), 6, mode="nearest")
    return (body.half_width * np.interp(y / 22.0, fine, smooth)).astype(np.float32)


def bell(radius_squared: np.ndarray) -> np.ndarray:
    """Half-chord of a unit ball at a squared distance from its middle."""
    return np.sqrt(np.maximum(1.0 - radius_squared, 0.0))


def ellipse(grid: Grid, x: float, y: float, a: float, b: float, angle: float = 0.0, depth: float = 0.0) -> np.ndarray:
    """Half-chord (of 1) of an ellipsoid about (`x`, `y`, `depth`); `angle` turns its axis `a` downwards."""
    u = grid.x - np.float32(x + grid.pose.turn * depth)
    v = grid.y - np.float32(y + grid.pose.tilt * depth)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return bell(((cos * u + sin * v) / np.float32(a)) ** 2 + ((cos * v - sin * u) / np.float32(b)) ** 2)


def union(*parts: np.ndarray) -> np.ndarray:
    """Overlapping organs as one, without a crease where they meet."""
    total = np.zeros_like(parts[0])
    for part in parts:
        total += np.square(np.square(np.square(part)))
    return np.sqrt(np.sqrt(np.sqrt(total)))
