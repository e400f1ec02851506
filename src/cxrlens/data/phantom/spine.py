"""The spine: vertebral bodies, discs, pedicles and spinous processes, drawn by their rhythm."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.solids import bell, ellipse

PITCH = 0.104  # from one vertebra, and one rib, to the next, as a share of the height of the lungs


def spine(grid: Grid, body: Body) -> np.ndarray:
    """Vertebral bodies, discs, pedicles and spinous processes down the middle."""
    turn, tilt = grid.pose.turn, grid.pose.tilt
    x = grid.x - (body.scoliosis * np.sin(grid.y / 9)).astype(np.float32) + 5 * turn
    y = grid.y + 5 * tilt
    pitch = PITCH * body.height * 1.0
    phase = np.mod((y + 0.9) / pitch, 1.0)
    disc = np.exp(-(((phase - 0.5) / 0.10) ** 2))
    plates = np.exp(-(((np.abs(phase - 0.5) - 0.14) / 0.035) ** 2))
    half = 1.45 + 0.018 * y + 0.16 * np.exp(-(((np.abs(phase - 0.5) - 0.1) / 0.1) ** 2))
    inside = np.clip((half - np.abs(x)) / 0.15 + 0.5, 0, 1)
    rim = np.exp(-(((np.abs(x) - half + 0.1) / 0.12) ** 2)) * (1 - disc)
    total = inside * (0.42 - 0.30 * disc + 0.22 * plates) + 0.20 * rim
    from_middle = np.mod(phase + 0.5, 1.0) - 0.5
    for side in (-1, 1):
        ring = np.sqrt(((x - side * 0.95) / 0.42) ** 2 + ((from_middle * pitch + 0.15) / 0.55) ** 2)
        total += 0.40 * np.exp(-(((ring - 0.8) / 0.25) ** 2))
        wing = np.exp(-(((from_middle * pitch + 0.1) / 0.40) ** 2)) * np.clip((3.1 - side * x) / 0.5, 0, 1)
        total += 0.14 * wing * np.clip((side * x - 0.8) / 0.5, 0, 1)
    process = bell((x / 0.33) ** 2 + ((from_middle * pitch - 0.7) / 0.85) ** 2)
    total += 0.35 * process + 0.10 * np.clip((0.9 - np.abs(x)) / 0.3, 0, 1)
    manubrium = ellipse(grid, 0.0, 5.2, 2.6, 3.6, depth=8) ** 0.5
    return ndimage.gaussian_filter(total + 0.10 * manubrium, 0.06 * grid.scale)
