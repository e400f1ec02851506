"""The lung's vessels: trees that branch from the hila, halving and thinning to the periphery."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.splat import splat

# (angle from straight outwards, downwards positive; length in cm; radius in cm): the trunks of one lung
_TRUNKS = (
    (-1.25, 2.4, 0.34), (-0.75, 2.3, 0.28), (-0.25, 2.2, 0.24), (0.3, 2.3, 0.26), (0.75, 2.6, 0.36),
    (1.05, 3.0, 0.62), (1.3, 3.2, 0.44), (-1.0, 1.6, 0.4), (0.5, 1.5, 0.36),
)  # fmt: skip
_DEPTH = 7


def vessels(grid: Grid, body: Body, dome: float) -> np.ndarray:
    """Blood along the beam: float32 [height, width], cm."""
    rng = np.random.default_rng([body.corner, 2])
    points, masses = [], []
    for side in (-1.0, 1.0):
        start = np.array([side * 2.9 - (0.3 if side < 0 else 0.0), 10.4 if side < 0 else 9.6, 0.0])
        trunks = np.array(_TRUNKS)
        angle = trunks[:, 0] + rng.normal(0, 0.12, len(trunks))
        length, radius = (
            trunks[:, 1] * rng.uniform(0.85, 1.2, len(trunks)),
            trunks[:, 2] * rng.uniform(0.85, 1.1, len(trunks)),
        )
        place = np.broadcast_to(start, (len(trunks), 3)) + rng.normal(0, 1.0, (len(trunks), 3)) * np.array(
            [0.5, 1.0, 1.0]
        )
        lean = rng.normal(0, 0.5, len(trunks))
        for generation in range(_DEPTH):
            steps, across = (28, 11) if generation < 3 else (max(8, int(1.1 * grid.scale)), 3)
            path, thick = _branches(place, angle, lean, length, radius, side, steps, rng)
            point, mass = _sample(path, thick, across)
            points.append(point)
            masses.append(mass)
            place = np.repeat(path[:, -1], 2, axis=0)
            fork = np.tile([-1.0, 1.0], len(angle)) * np.repeat(rng.uniform(0.18, 0.55, len(angle)), 2)
            angle = np.repeat(angle, 2) + fork + rng.normal(0, 0.12, 2 * len(angle))
            angle = np.clip(angle, -2.0, 1.9)
            lean = np.clip(np.repeat(lean, 2) + rng.normal(0, 0.35, len(angle)), -1.2, 1.2)
            uneven = np.stack([rng.uniform(0.6, 0.85, len(radius)), rng.uniform(0.65, 0.9, len(radius))], 1).ravel()
            radius = np.repeat(radius, 2) * uneven
            length = np.repeat(length, 2) * rng.uniform(0.65, 1.0, len(angle))
    tree = splat(grid, np.concatenate(points), np.concatenate(masses))
    tree = ndimage.gaussian_filter(tree, 0.06 * grid.scale)
    return (body.vessels * 1.3 * (1 - np.exp(-tree / 1.3))).astype(np.float32)


def _branches(
    place: np.ndarray,
    angle: np.ndarray,
    lean: np.ndarray,
    length: np.ndarray,
    radius: np.ndarray,
    side: float,
    steps: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Paths [n, steps, 3] and radii [n, steps] of one generation; each bends a little."""
    t = np.linspace(0, 1, steps)
    bent = angle[:, None] + rng.normal(0, 0.35, len(angle))[:, None] * (t - 0.5)
    step = (length / (steps - 1))[:, None]
    flat = np.cos(lean)[:, None] * step
    move = np.stack(
        [side * np.cos(bent) * flat, np.sin(bent) * flat, np.broadcast_to(np.sin(lean)[:, None] * step, bent.shape)], -1
    )
    move[:, 0] = 0
    return place[:, None] + np.cumsum(move, axis=1), radius[:, None] * (1 - 0.2 * t)


def _sample(path: np.ndarray, thick: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Fills the branches: `count` points across each step, weighted by the chord of a cylinder."""
    step = np.gradient(path, axis=1)
    length = np.linalg.norm(step, axis=-1)
    across = np.stack([-step[..., 1], step[..., 0], np.zeros_like(length)], -1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    offsets = (np.arange(count) + 0.5) / count * 2 - 1
    points = path[..., None, :] + (across * thick[..., None])[..., None, :] * offsets[:, None]
    chord = 2 * thick[..., None] * np.sqrt(1 - offsets**2)
    mass = chord * (length * thick * 2 / count)[..., None]
    return points.reshape(-1, 3), mass.ravel()
