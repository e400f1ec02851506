"""The bones, projected from 3-D: ribs, clavicles, shoulder blades, upper arms and spine."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.organs import bell, ellipse, wall

# Projection of bones and vessels: their mass is spread over their surface in 3-D and summed along the beam. A hollow
# tube then has bright rims and brighter foreshortened parts, as a real rib has, although no edges are drawn.


def splat(grid: Grid, points: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Sums point masses on the detector; each is shared by the four nearest pixels.

    Args:
        grid: image plane.
        points: positions of the masses in cm, float [n, 3].
        mass: path length × area of each mass in cm³, float [n].

    Returns:
        Path length in cm, float32 [height, width].
    """
    height, width = grid.shape
    column, row = grid.pixels_of(points)
    # Rounded first: a point within a rounding error of the edge must not pass the test and then fall outside.
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
        line: centre lines in cm, float [..., t, 3].
        up: approximate direction of `half_height`, float [3] or [..., t, 3].
        half_height: half-axis of the cross-section along `up` in cm; broadcasts with [..., t].
        half_depth: half-axis of the cross-section across `up` in cm; broadcasts with [..., t].
        cortex: thickness of compact bone in cm; broadcasts with [..., t].
        marrow: density of the inside relative to compact bone.
        around: number of samples around the line.

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
    # Each step starts at another (golden) angle, so that the samples leave no stripes along the bone.
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
    # Three shells: the cortex, and two inside it for the marrow (with radii that halve the area of a disc).
    inner, core = offset[..., ::2, :], 2 * core[..., ::2]
    points = [(centre + part).reshape(-1, 3) for part in (offset, 0.8 * inner, 0.4 * inner)]
    return np.concatenate(points), np.concatenate([shell.ravel(), 0.6 * core.ravel(), 0.4 * core.ravel()])


def curve(points: list[tuple[float, float, float]], samples: int) -> np.ndarray:
    """A smooth line [samples, 3] through points (a Catmull-Rom spline)."""
    knots = np.asarray(points, float)
    knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    position = np.linspace(0, len(points) - 1, samples)
    first = np.minimum(position.astype(int), len(points) - 2)
    t = (position - first)[:, None]
    p0, p1, p2, p3 = (knots[first + k] for k in range(4))
    cubic = (3 * (p1 - p2) + p3 - p0) * t**3 + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (p2 - p0) * t + 2 * p1
    return 0.5 * cubic


# The shoulder girdle: clavicles, shoulder blades, upper arms.

_UPWARD = np.array([0.0, 1.0, 0.0])


def girdle(
    grid: Grid, body: Body, side: float, frontal: float, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points and masses of the clavicle, the shoulder blade and the upper arm of one side.

    Args:
        grid: image plane.
        body: build of the patient.
        side: -1 for the left and 1 for the right side of the image.
        frontal: 0 with the shoulders rolled away from the lungs (PA), 1 with the shoulder blades over them (AP).
        rng: random generator of the details.
    """
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
    parts = [
        tube(collar, _UPWARD, thick, 0.8 * thick, 0.17 * np.interp(share, [0, 0.15, 0.8, 1], [0.5, 1, 1, 0.5]), 0.2)
    ]

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
        parts.append(tube(line, _UPWARD, radius, radius, cortex, 0.08, around=10))
    across = np.linspace(0, 1, 40)[None, :, None]  # the blade between its borders, as a thin sheet
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
    """Centre of the head of the upper arm in cm: distance from the midline and distance below the apex."""
    return (17.9 + 0.4 * _sway(frontal)) * body.half_width / 13.2, 4.9 - body.shoulder


def _sway(frontal: float) -> float:
    """Outward shift of the shoulder blades in cm; negative where they lie over the lungs."""
    return 1.2 * (1 - frontal) - 1.4 * frontal


# The spine: a periodic pattern of vertebral bodies, discs, pedicles and spinous processes.

PITCH = 0.104  # distance between vertebrae, and between ribs, relative to the height of the lungs


def spine(grid: Grid, body: Body) -> np.ndarray:
    """Bone of the spine along the beam, float32 [height, width] in cm."""
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


_UP = np.array([0.0, 1.0, 0.0])


def skeleton(grid: Grid, body: Body, breath: float, frontal: float) -> np.ndarray:
    """Length of compact bone along the beam, float32 [height, width] in cm.

    Args:
        grid: image plane.
        body: build of the patient.
        breath: height of the domes above full inspiration in cm; the ribs move with them.
        frontal: 0 with the shoulders rolled away from the lungs (PA), 1 with the shoulder blades over them (AP).
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
    """Points and masses of eleven pairs of ribs: flat tubes around the chest, steepest in front."""
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
