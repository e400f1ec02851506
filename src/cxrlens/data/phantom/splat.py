"""Projects bones and vessels: mass spread over their surface in 3-D and summed along the beam.

A hollow tube thrown onto the detector this way has the bright rims, and the brighter foreshortened stretches, of a
real rib, with no drawing of edges.
"""

from __future__ import annotations

import numpy as np

from cxrlens.data.phantom.grid import Grid


def splat(grid: Grid, points: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Sums point masses onto the detector, each shared by its four pixels.

    Args:
        grid: the image plane.
        points: float [n, 3], cm.
        mass: float [n], path length × area, cm³.

    Returns:
        Float32 [height, width], path length in cm.
    """
    height, width = grid.shape
    column, row = grid.pixels_of(points)
    # rounded first: a point within a rounding error of the edge must not be let in and then fall outside
    column, row = column.ravel().astype(np.float32) - 0.5, row.ravel().astype(np.float32) - 0.5
    inside = (column > -1) & (column < width) & (row > -1) & (row < height)
    column, row = column[inside], row[inside]
    mass = np.broadcast_to(mass, inside.shape)[inside].astype(np.float32)
    left, top = np.floor(column).astype(np.int32), np.floor(row).astype(np.int32)
    right_share, low_share = column - left, row - top
    stride, total = width + 2, np.zeros((height + 2) * (width + 2))
    base = (top + 1) * stride + left + 1
    for dy, wy in ((0, 1 - low_share), (1, low_share)):
        for dx, wx in ((0, 1 - right_share), (1, right_share)):
            total += np.bincount(base + (dy * stride + dx), weights=mass * wy * wx, minlength=total.size)
    canvas = total.reshape(height + 2, stride)[1:-1, 1:-1]
    return (canvas * grid.scale**2).astype(np.float32)


def tube(
    line: np.ndarray,
    up: np.ndarray,
    half_height: np.ndarray | float,
    half_depth: np.ndarray | float,
    cortex: np.ndarray | float,
    marrow: float,
    around: int = 18,
) -> tuple[np.ndarray, np.ndarray]:
    """Points and masses of hollow bones with elliptic cross-sections.

    Args:
        line: float [..., t, 3], the centre lines, cm.
        up: float [3] or [..., t, 3], roughly the direction of `half_height`.
        half_height: cm, along `up` as far as it is across the line; broadcasts with [..., t].
        half_depth: cm, across both.
        cortex: cm of compact bone; broadcasts with [..., t].
        marrow: density of the inside relative to compact bone.
        around: samples about the line.

    Returns:
        Points [n, 3] and masses [n].
    """
    line = line.astype(np.float32)
    step = np.gradient(line, axis=-2)
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    along = step / np.maximum(length, 1e-9)
    up = np.asarray(up, np.float32)
    first = up - (up * along).sum(-1, keepdims=True) * along
    first = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    shape = line.shape[:-1]
    a = np.broadcast_to(np.asarray(half_height, np.float32), shape)
    b = np.broadcast_to(np.asarray(half_depth, np.float32), shape)
    # each step starts at another angle (the golden one), so that the samples leave no stripes along the bone
    start = np.arange(shape[-1])[:, None] * 2.399963
    angle = (start / around + np.arange(around) / around * 2 * np.pi).astype(np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    offset = (first * a[..., None])[..., None, :] * cos[..., None] + (second * b[..., None])[..., None, :] * sin[
        ..., None
    ]
    arc = np.sqrt((a[..., None] * sin) ** 2 + (b[..., None] * cos) ** 2) * (2 * np.pi / around)
    shell = arc * length * np.broadcast_to(np.asarray(cortex, np.float32), shape)[..., None]
    core = np.broadcast_to((a * b * np.pi / around)[..., None] * length * marrow, shell.shape)
    centre = line[..., None, :]
    # three shells: the cortex, and two inside it that stand for the marrow (radii that halve the area of a disc)
    inner, core = offset[..., ::2, :], 2 * core[..., ::2]
    points = [(centre + part).reshape(-1, 3) for part in (offset, 0.8 * inner, 0.4 * inner)]
    return np.concatenate(points), np.concatenate([shell.ravel(), 0.6 * core.ravel(), 0.4 * core.ravel()])


def curve(points: list[tuple[float, float, float]], samples: int) -> np.ndarray:
    """A smooth line [samples, 3] through `points` (Catmull-Rom)."""
    knots = np.asarray(points, float)
    knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    position = np.linspace(0, len(points) - 1, samples)
    first = np.minimum(position.astype(int), len(points) - 2)
    t = (position - first)[:, None]
    p0, p1, p2, p3 = (knots[first + k] for k in range(4))
    cubic = (3 * (p1 - p2) + p3 - p0) * t**3 + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (p2 - p0) * t + 2 * p1
    return 0.5 * cubic
