"""The shoulder girdle: clavicles, shoulder blades, upper arms."""

from __future__ import annotations

import numpy as np

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.splat import curve, tube

_UP = np.array([0.0, 1.0, 0.0])


def girdle(
    grid: Grid, body: Body, side: float, frontal: float, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clavicle, shoulder blade and upper arm of one side."""
    samples = max(60, int(18 * grid.scale * grid.pose.zoom))
    wide = body.half_width / 13.2
    lift = -body.shoulder + 2.0 + rng.normal(0, 0.25)
    sway = _sway(frontal)

    def place(*knots: tuple[float, float, float]) -> np.ndarray:
        return curve([(side * x * wide, y, z) for x, y, z in knots], samples)

    share = np.linspace(0, 1, samples)
    collar = place(
        (1.7, 4.4, 7),
        (5.0, 3.5 + 0.25 * lift, 7),
        (9.5, 2.1 + 0.6 * lift, 4),
        (13.5, 0.5 + lift, 0),
        (16.3, -0.3 + lift, -2),
    )
    thick = np.interp(share, [0, 0.08, 0.35, 0.7, 1], [0.95, 0.8, 0.58, 0.6, 0.8])
    parts = [tube(collar, _UP, thick, 0.8 * thick, 0.17 * np.interp(share, [0, 0.15, 0.8, 1], [0.5, 1, 1, 0.5]), 0.2)]

    def blade(x: float, y: float) -> tuple[float, float, float]:
        return (x + sway + 0.05 * (1 - frontal) * (y - 5), y + lift, -6.5)

    medial = place(blade(9.6, 1.6), blade(9.9, 5.0), blade(10.7, 9.5), blade(12.0, 13.6))
    lateral = place(blade(12.0, 13.6), blade(13.4, 10.0), blade(15.0, 6.4), blade(16.2, 4.3))
    ridge = place(blade(10.0, 4.4), blade(13.0, 2.6), blade(15.6, 0.2), blade(17.6, -0.6))
    upper = place(blade(9.6, 1.6), blade(11.5, 1.5), blade(13.8, 2.3), blade(15.6, 3.0))
    beak = place(blade(15.4, 3.0), blade(14.8, 1.9), blade(15.9, 2.2), blade(16.4, 2.8))
    socket = place(blade(16.1, 2.6), blade(15.9, 3.6), blade(16.2, 4.8))
    borders = ((medial, 0.20, 0.07), (lateral, 0.38, 0.12), (ridge, 0.42, 0.09), (upper, 0.18, 0.06))
    for line, radius, cortex in (*borders, (beak, 0.55, 0.08), (socket, 0.4, 0.1)):
        parts.append(tube(line, _UP, radius, radius, cortex, 0.08, around=10))
    across = np.linspace(0, 1, 40)[None, :, None]  # the plate between its borders: a thin sheet
    sheet = (medial[::2, None] * (1 - across) + lateral[::-1][::2, None] * across).reshape(-1, 3)
    parts.append((sheet, np.full(len(sheet), 45.0 * 0.10 / len(sheet))))

    long = np.linspace(0, 1, 2 * samples)
    knots = [(18.0 + 0.4 * sway, 3.0, -1), (18.9 + 0.4 * sway, 8.0, 0), (19.2 + 0.7 * body.arm, 34.0, 0)]
    shaft = curve([(side * x * wide, y + lift, z) for x, y, z in knots], 2 * samples)
    width = np.interp(long, [0, 0.07, 0.17, 1], [1.9, 2.0, 1.15, 1.05])
    cortex = np.interp(long, [0, 0.08, 0.25], [0.06, 0.1, 0.3])
    parts.append(tube(shaft, np.array([1.0, 0, 0]), width, width, cortex, 0.06, around=24))
    return parts


def shoulder(body: Body, frontal: float) -> tuple[float, float]:
    """Middle of the head of the upper arm: distance from the midline and depth below the apex."""
    return (17.9 + 0.4 * _sway(frontal)) * body.half_width / 13.2, 4.9 - body.shoulder


def _sway(frontal: float) -> float:
    """How far the shoulder blades stand out (cm): rolled off the lungs, or over them."""
    return 1.2 * (1 - frontal) - 1.4 * frontal
