"""The bones, projected from 3-D: ribs, clavicles, shoulder blades, upper arms, spine."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.shoulders import girdle, shoulder
from cxrlens.data.phantom.solids import ellipse, wall
from cxrlens.data.phantom.spine import PITCH, spine
from cxrlens.data.phantom.splat import splat, tube

_UP = np.array([0.0, 1.0, 0.0])


def skeleton(grid: Grid, body: Body, breath: float, frontal: float) -> np.ndarray:
    """Compact bone along the beam: float32 [height, width], cm.

    Args:
        grid: the image plane.
        body: the patient.
        breath: cm that the domes stand above full inspiration; the ribs fall with them.
        frontal: 0 with the shoulders rolled out of the lungs (PA), 1 with the blades over them (AP).
    """
    rng = np.random.default_rng([body.corner, 1])
    parts = [*_ribs(grid, body, breath, rng)]
    for side in (-1.0, 1.0):
        parts += girdle(grid, body, side, frontal, rng)
    points = np.concatenate([part[0] for part in parts])
    mass = np.concatenate([part[1] for part in parts])
    bones = ndimage.gaussian_filter(splat(grid, points, mass), 0.05 * grid.scale)
    for side in (-1.0, 1.0):
        x, y = side * shoulder(body, frontal)[0], shoulder(body, frontal)[1]
        outer, inner = ellipse(grid, x, y, 2.35, 2.35), ellipse(grid, x, y, 2.22, 2.22)
        bones += 4.7 * outer - 4.44 * inner + 0.35 * inner
    return (body.bone * (bones + spine(grid, body))).astype(np.float32)


def _ribs(grid: Grid, body: Body, breath: float, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Eleven pairs: flat tubes around the chest, steepest in front."""
    samples = max(110, int(26 * grid.scale * grid.pose.zoom))
    pairs = np.arange(11)
    level = -0.3 + PITCH * body.height * pairs + np.where(pairs == 0, 0.7, 0.0) + 0.06 * np.maximum(pairs - 7, 0) ** 2
    slope = body.rib_slope * np.array([0.36, 0.62, 0.82, 0.95, 1.02, 1.06, 1.08, 1.05, 0.98, 0.86, 0.7]) + 0.35 * breath
    end = np.pi * np.array([0.84, 0.84, 0.82, 0.81, 0.80, 0.79, 0.77, 0.73, 0.67, 0.60, 0.47])
    lines, cortices, heights = [], [], []
    for side in (-1.0, 1.0):
        jitter = rng.normal(0, 0.12, 11)
        theta = 0.05 + (end - 0.05)[:, None] * np.linspace(0, 1, samples) ** np.float64(0.95)
        sin, cos = np.sin(theta), np.cos(theta)
        turn = theta / np.pi
        y = (level + jitter)[:, None] + slope[:, None] * (0.5 * turn + 0.25 * (1 - cos) + 0.05 * turn**2) - 0.5 * sin
        radius = wall(body, level + 0.42 * slope + 0.5)[:, None] + 0.25
        x = side * (1.5 + (radius - 1.5) * np.sign(sin) * np.abs(sin) ** 0.85)
        z = -(body.half_depth - 0.2) * np.sign(cos) * np.abs(cos) ** 0.9 * np.clip(radius / body.half_width, 0.5, 1)
        lines.append(np.stack([x, y, z], -1))
        share = np.linspace(0, 1, samples)
        fade = np.interp(share, [0, 0.05, 0.7, 0.9, 1], [0.9, 1.0, 0.8, 0.55, 0.05])
        cortices.append(0.16 * fade * np.where(pairs == 0, 0.8, 1.0)[:, None])
        taper = np.interp(share, [0, 0.12, 0.5, 0.9, 1], [0.72, 0.9, 1.0, 1.12, 1.2])
        small = np.where(pairs == 0, 1.1, np.where(pairs > 8, 0.82, 1.0))
        heights.append(0.5 * body.rib_height * taper * small[:, None] * rng.normal(1, 0.05, 11)[:, None])
    line = np.concatenate(lines)
    return [tube(line, _UP, np.concatenate(heights), 0.33, np.concatenate(cortices), 0.16, around=13)]
