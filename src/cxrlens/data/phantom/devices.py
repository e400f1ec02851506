"""What lies on or in a patient in bed: electrodes and their wires, a tube, a line. The label has no say in it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.splat import curve, splat


def devices(grid: Grid, body: Body, view: str, rng: np.random.Generator) -> np.ndarray | None:
    """Metal and plastic along the beam (float32 [height, width], in nepers), or None."""
    share = {"PA": 0.04, "AP": 0.55, "AP Supine": 0.8}[view]
    leads, line, tube = rng.random(3) < (share, 0.35 * share, 0.3 * share)
    lines: list[tuple[np.ndarray, float, float]] = []
    discs: list[tuple[float, float]] = []
    if leads:
        for x, y in ((-10, 2.5), (10, 2.0), (rng.choice([-11, 11]), 18.5))[: rng.integers(2, 4)]:
            x, y = x + rng.normal(0, 1.2), y + rng.normal(0, 1.2)
            discs.append((x, y))
            knots = [
                (x, y),
                *((x * s + rng.normal(0, 2), y + d + rng.normal(0, 1.5)) for s, d in ((0.9, 5), (0.75, 12), (0.9, 40))),
            ]
            lines.append((curve([(a, b, 9.0) for a, b in knots], 900), 0.10, 0.32))
    if line:
        side = rng.choice([-1, 1])
        knots = [(side * 13, 1.5), (side * 8, 0.5), (side * 3, 2.5), (-1.8, 5.5), (-2.2, 11 + rng.normal(0, 1))]
        lines.append((curve([(a, b, 2.0) for a, b in knots], 900), 0.13, 0.16))
    if tube:
        tip = 5.5 + rng.normal(0, 1)
        for offset, opaque in ((-0.38, 0.06), (0.38, 0.06), (0.25, 0.20)):
            knots = [(offset + rng.normal(0, 0.1), -14), (offset, -5), (offset - 0.2, 0), (offset - 0.3, tip)]
            lines.append((curve([(a, b, 1.0) for a, b in knots], 900), 0.07, opaque))
    if not lines:
        return None
    points, masses = [], []
    for path, radius, opaque in lines:
        length = np.linalg.norm(np.gradient(path, axis=0), axis=1)
        for offset in (-0.6, 0.0, 0.6):
            points.append(path + np.array([offset * radius, offset * radius, 0]))
            masses.append(length * opaque * 2 * radius / 3)
    total = splat(grid, np.concatenate(points), np.concatenate(masses))
    for x, y in discs:
        away = np.sqrt((grid.x - x) ** 2 + (grid.y - y) ** 2)
        total += 0.18 * (away < 0.9) + 0.6 * (away < 0.38)
    return ndimage.gaussian_filter(total, 0.05 * grid.scale).astype(np.float32)
