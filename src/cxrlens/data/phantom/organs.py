"""The soft parts of the chest: chords of the organs along the beam, float32 [height, width] in cm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid

# Basic shapes of the organs.

# Inside of the chest: half-width relative to the largest one, at distances below the apex relative to the height.
_LEVELS = np.array([-0.15, 0.0, 0.05, 0.12, 0.25, 0.45, 0.7, 1.0, 1.25, 1.6])
_SHARES = np.array([0.30, 0.47, 0.58, 0.69, 0.83, 0.94, 1.0, 1.0, 0.97, 0.93])


def wall(body: Body, y: np.ndarray) -> np.ndarray:
    """Half-width of the inside of the chest in cm, at `y` cm below the apex."""
    fine = np.linspace(_LEVELS[0], _LEVELS[-1], 200)
    smooth = ndimage.gaussian_filter1d(np.interp(fine, _LEVELS, _SHARES), 6, mode="nearest")
    return (body.half_width * np.interp(y / 22.0, fine, smooth)).astype(np.float32)


def bell(radius_squared: np.ndarray) -> np.ndarray:
    """Half-chord of a unit ball at a squared distance from its centre."""
    return np.sqrt(np.maximum(1.0 - radius_squared, 0.0))


def ellipse(grid: Grid, x: float, y: float, a: float, b: float, angle: float = 0.0, depth: float = 0.0) -> np.ndarray:
    """Half-chord of an ellipsoid, relative to its largest one, [height, width].

    Args:
        grid: image plane.
        x: x of the centre in cm.
        y: y of the centre in cm.
        a: first half-axis in cm.
        b: second half-axis in cm.
        angle: angle of the first half-axis in radians, downwards.
        depth: depth of the centre in cm.
    """
    u = grid.x - np.float32(x + grid.pose.turn * depth)
    v = grid.y - np.float32(y + grid.pose.tilt * depth)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return bell(((cos * u + sin * v) / np.float32(a)) ** 2 + ((cos * v - sin * u) / np.float32(b)) ** 2)


def union(*parts: np.ndarray) -> np.ndarray:
    """Joins overlapping organs without a crease where they meet."""
    total = np.zeros_like(parts[0])
    for part in parts:
        total += np.square(np.square(np.square(part)))
    return np.sqrt(np.sqrt(np.sqrt(total)))


def middle(grid: Grid, body: Body, dome: float, magnify: float) -> np.ndarray:
    """Chords of the heart, the great vessels and the spine, where there is no lung.

    Args:
        grid: image plane.
        body: build of the patient.
        dome: height of the right dome, in cm below the apex.
        magnify: magnification of the heart.
    """
    x, y = grid.x, grid.y
    size, axis = body.heart * magnify, body.heart_axis
    base = dome - 3.4 * size
    ventricle = ellipse(grid, 3.3 * size, base + 0.6, 7.0 * size, 4.7 * size, axis, depth=2)
    atrium = ellipse(grid, 0.4 * size, base + 0.9, 3.65 * size, 6.8 * size, -0.1, depth=2)
    outflow = ellipse(grid, 1.5, base - 5.0 * size, 5.6, 2.7 * size, 1.25, depth=2)
    heart = 16.0 * union(ventricle, atrium, outflow) ** 0.62

    shift = body.scoliosis * np.sin(y / 9) + grid.pose.turn * -1.0
    flare = 0.5 * np.exp(-(((y + 1) / 4) ** 2)) - 0.7 * np.clip((y - 9) / 4, 0, 1)
    column = bell(((x - shift - 0.1) / (1.15 * body.mediastinum + flare)) ** 2) ** 1.5
    knob = ellipse(grid, 1.5 + 0.3 * body.knob, 6.0, 0.95 * body.knob + 0.4, body.knob + 0.9) ** 0.8
    cava = ellipse(grid, -1.4, 7.5, 1.7, 7.5)
    aorta = bell(((x - 2.0 - 0.2 * body.knob + 0.055 * (y - 6)) / (0.6 + 0.5 * body.knob)) ** 2)
    aorta = aorta * np.clip((y - 6.5) / 1.5, 0, 1)
    spine = bell(((x - shift + grid.pose.turn * 6) / 2.7) ** 2) ** 1.5
    hila = np.maximum(ellipse(grid, -3.3, 10.9, 1.7, 2.9, 0.1), ellipse(grid, 3.5, 9.9, 1.7, 2.4))
    front = 14 * union(heart / 14, 11 * column / 14, 8 * knob / 14, 7 * cava / 14)
    return ndimage.gaussian_filter(front + 3.0 * hila**2 + 2.0 * aorta + 3.0 * spine, 0.07 * grid.scale)


def trunk(grid: Grid, body: Body, width: np.ndarray) -> np.ndarray:
    """Thickness of the patient (chest, shoulders, neck and arms) in cm.

    Args:
        grid: image plane.
        body: build of the patient.
        width: half-width of the inside of the chest at each pixel, in cm.
    """
    x, y = grid.x, grid.y
    skin = width + 1.6 + body.fat + 1.2 * np.exp(-(((y - 8) / 7) ** 2))
    chest = 2 * (body.half_depth + 1.4 + 0.7 * body.fat) * bell(np.abs(x / skin) ** 2.4)
    chest = chest * np.clip((y + 8) / 9.5, 0.35, 1)
    # From the trapezius to the deltoid: half-width of the outline from the neck down to the arms.
    lift = body.shoulder
    levels = np.array([-14, -8, -5.5, -4, -2.6, -1.2, 0.3, 2.5, 6]) - lift + 2.0
    spread = np.array([5.6, 5.8, 6.6, 8.3, 11.5, 15.3, 18.4, 20.6, 22.0]) + 0.35 * body.fat
    fine = np.linspace(-20, 10, 240)
    smooth = ndimage.gaussian_filter1d(np.interp(fine, levels, spread), 5, mode="nearest")
    outline = np.interp(y, fine, smooth).astype(np.float32)
    depth = np.interp(y, [-10, -4, 2, 6], [11.0, 11.5, 12.0, 11.0]).astype(np.float32)
    girdle = depth * np.power(bell(np.abs(x / outline) ** 3), 0.7) * np.clip((9 - y) / 5, 0, 1)
    middle = 19.2 + 0.35 * body.fat + body.arm * 0.03 * (y - 2)
    arm = 2 * (4.0 + 0.4 * body.fat) * bell(((np.abs(x) - middle) / (4.0 + 0.4 * body.fat)) ** 2)
    arm = arm * np.clip((y + lift - 0.5) / 3, 0, 1)
    deep = np.maximum(np.maximum(chest, girdle), arm)
    return ndimage.gaussian_filter(np.sqrt(deep**2 + 0.3 * np.minimum(chest, arm) ** 2), 0.12 * grid.scale)


def breasts(grid: Grid, body: Body) -> np.ndarray:
    """Chords of the breasts, or of the pectoral muscles."""
    total = np.zeros(grid.shape, np.float32)
    for sign in (-1, 1):
        if body.breast:
            x, radius = sign * 0.58 * body.half_width, 5.2 + 0.5 * body.breast
            u, v = (grid.x - x) / radius, (grid.y - body.breast_drop) / radius
            v = np.where(v > 0, v * 1.25, v * 0.62)  # a full lower edge and a long upper slope
            total += 1.3 * body.breast * np.power(np.maximum(1 - u**2 - v**2, 0), 0.6)
        else:
            x = sign * 0.62 * body.half_width
            u, v = (grid.x - x) / 6.5, (grid.y - 8.0 - 0.15 * sign * (grid.x - x)) / 6.0
            total += 1.0 * np.power(np.maximum(1 - u**2 - np.where(v > 0, v * 1.3, v) ** 2, 0), 0.6)
    return ndimage.gaussian_filter(total, 0.06 * grid.scale)


def airway(grid: Grid, body: Body) -> np.ndarray:
    """Chords of air in the trachea and the main bronchi."""
    x, y = grid.x, grid.y
    middle = 0.35 * np.clip((y + 1) / 8, 0, 1) * -1 + body.scoliosis * 0.4 * np.sin(y / 9)
    trachea = 2.7 * bell(((x - middle) / 0.9) ** 2) * np.clip((9.6 - y) / 0.8, 0, 1)
    total = trachea
    for slope, start, radius in ((-1.05, -0.4, 0.72), (1.25, 0.2, 0.62)):
        down = (x - start) / slope
        near = np.clip(down / 0.8, 0, 1) * np.clip((3.4 - down) / 1.2, 0, 1)
        total = np.maximum(total, 1.6 * radius * bell(((y - 9.3 - down) / (radius * 1.3)) ** 2) * near)
    return ndimage.gaussian_filter(total, 0.12 * grid.scale)


def stomach(grid: Grid, body: Body, dome: float) -> np.ndarray:
    """Chords of gas under the left dome: a flat-bottomed bubble, and some bowel beside it."""
    if not body.gas:
        return np.zeros(grid.shape, np.float32)
    rng = np.random.default_rng(body.corner)
    bubble = ellipse(grid, 5.6, dome + 2.6, 2.0 + 1.3 * body.gas, 1.0 + 0.8 * body.gas, 0.15)
    bubble = bubble * np.clip((dome + 3.2 + 0.4 * body.gas - grid.y) / 0.35, 0.15, 1)
    for _ in range(int(rng.integers(0, 5))):
        spot = ellipse(grid, rng.uniform(4, 10), dome + rng.uniform(4.5, 9), *rng.uniform(0.8, 1.9, 2))
        bubble = np.maximum(bubble, 0.7 * spot)
    return ndimage.gaussian_filter((3.0 + 1.5 * body.gas) * bubble, 0.15 * grid.scale).astype(np.float32)


# The whole chest. Each organ is an interval in depth at each pixel, so that silhouettes, costophrenic angles and the
# haze of lung behind the dome follow from geometry.


@dataclass(frozen=True)
class Chest:
    """The path of the beam at each pixel; arrays are float32 [height, width] in cm, unless stated otherwise.

    Attributes:
        tissue: length of soft tissue, without bone.
        lung: length of lung.
        cavity: length of the inside of the chest.
        across: position within each lung, from the mediastinum (-1) to the outer wall (1).
        down: position from the apex (0) to the height of the dome (1).
        fields: bool, True in the lung fields as a reader outlines them, above the domes and beside the heart.
        dome: height of the right dome, in cm below the apex.
    """

    tissue: np.ndarray
    lung: np.ndarray
    cavity: np.ndarray
    across: np.ndarray
    down: np.ndarray
    fields: np.ndarray
    dome: float


def make_chest(grid: Grid, body: Body, breath: float, magnify: float) -> Chest:
    """Projects the organs of a patient onto the detector.

    Args:
        grid: image plane.
        body: build of the patient.
        breath: height of the domes above full inspiration in cm.
        magnify: magnification of the heart: 1 in PA views, more in AP views.
    """
    x, y = grid.x, grid.y
    dome = body.height - breath
    width = wall(body, y)
    side = np.sign(x) + (x == 0)
    cavity = body.half_depth * np.power(bell(np.abs(x / width) ** 2.4), 0.9)  # half-chord

    # Apex: a dome over each lung.
    off = np.abs(x) - 4.9
    rise = y + 0.3 - np.where(off > 0, 0.17, 0.24) * off**2
    apex = np.sqrt(np.maximum(rise, 0) / 0.12)
    low, high = np.maximum(-cavity, -2.0 - apex), np.minimum(cavity, -2.0 + apex)

    # Diaphragm: a dome under each lung, with its top slightly in front of the middle.
    top = dome + body.dome_gap / (1 + np.exp(-1.4 * x))
    off = np.abs(x) - 0.48 * body.half_width
    curve = np.where(off > 0, 0.085, 0.022) * off**2
    under = y - top - curve
    reach = np.sqrt(np.maximum(under, 0) / 0.10)
    # The lung behind the dome becomes thinner.
    beyond = np.clip(1.0 - (under - 2.0) / 5.0, 0, 1) * np.clip((np.abs(x) - 2.0) / 4.5, 0, 1)
    front = np.maximum(high - np.maximum(low, 1.5 + reach), 0)
    back = np.maximum(np.minimum(high, 1.5 - reach) - low, 0)
    whole = np.maximum(high - low, 0)
    below = np.clip(under * grid.scale / 2 + 0.5, 0, 1)  # a smooth edge over the pixels that it crosses
    air = below * 0.85 * (0.3 * front + back) * beyond + (1 - below) * whole

    solid = middle(grid, body, dome, magnify)
    lung = np.maximum(air - solid, 0) * np.minimum(1.0, air / 2.0)
    lung = ndimage.gaussian_filter(lung, 0.08 * grid.scale)

    whole_body = trunk(grid, body, width)
    tissue = np.maximum(whole_body - lung, 0) + breasts(grid, body)
    tissue -= airway(grid, body) + stomach(grid, body, dome + body.dome_gap)
    inner = 0.18 * width
    return Chest(
        tissue=np.maximum(tissue, 0).astype(np.float32),
        lung=lung.astype(np.float32),
        cavity=2 * cavity.astype(np.float32),
        across=np.clip(2 * (side * x - inner) / (width - inner) - 1, -1, 1).astype(np.float32),
        down=(y / dome).astype(np.float32),
        fields=(under < 0.2) & (lung > np.maximum(0.30 * 2 * cavity, 1.0)) & (rise > 0.3),
        dome=dome,
    )
