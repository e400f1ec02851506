"""The soft parts: chords of trunk, lungs, heart and mediastinum along the beam, in centimetres.

Each organ is an interval in depth at every pixel, so that silhouettes, costophrenic angles and the haze of lung behind
the dome follow from geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body
from cxrlens.data.phantom.grid import Grid
from cxrlens.data.phantom.organs import airway, breasts, middle, stomach, trunk
from cxrlens.data.phantom.solids import bell, wall


@dataclass(frozen=True)
class Chest:
    """What the beam meets at every pixel; float32 [height, width], cm unless said otherwise.

    Attributes:
        tissue: everything that is not air, bone excluded.
        lung: length of lung.
        cavity: length of the inside of the chest.
        across: -1 to 1 within each lung: from the mediastinum (-1) to the outer wall (1).
        down: 0 at the apex, 1 at the dome's height; the patient's own scale.
        fields: bool, the lungs as a reader outlines them: above the domes, beside the heart.
        dome: height of the right dome below the apex.
    """

    tissue: np.ndarray
    lung: np.ndarray
    cavity: np.ndarray
    across: np.ndarray
    down: np.ndarray
    fields: np.ndarray
    dome: float


def make_chest(grid: Grid, body: Body, breath: float, magnify: float) -> Chest:
    """Lays the organs of `body` on the detector.

    Args:
        grid: the image plane.
        body: the patient.
        breath: cm that the domes stand above full inspiration.
        magnify: of the heart: 1 from the back (PA), more from the front.
    """
    x, y = grid.x, grid.y
    dome = body.height - breath
    width = wall(body, y)
    side = np.sign(x) + (x == 0)
    cavity = body.half_depth * np.power(bell(np.abs(x / width) ** 2.4), 0.9)  # half-chord

    # apex: a dome over each lung
    off = np.abs(x) - 4.9
    rise = y + 0.3 - np.where(off > 0, 0.17, 0.24) * off**2
    apex = np.sqrt(np.maximum(rise, 0) / 0.12)
    low, high = np.maximum(-cavity, -2.0 - apex), np.minimum(cavity, -2.0 + apex)

    # diaphragm: a dome under each lung, its top a little in front of the middle
    top = dome + body.dome_gap / (1 + np.exp(-1.4 * x))
    off = np.abs(x) - 0.48 * body.half_width
    curve = np.where(off > 0, 0.085, 0.022) * off**2
    under = y - top - curve
    reach = np.sqrt(np.maximum(under, 0) / 0.10)
    beyond = np.clip(1.0 - (under - 2.0) / 5.0, 0, 1) * np.clip(
        (np.abs(x) - 2.0) / 4.5, 0, 1
    )  # the lung behind the dome thins out
    front = np.maximum(high - np.maximum(low, 1.5 + reach), 0)
    back = np.maximum(np.minimum(high, 1.5 - reach) - low, 0)
    whole = np.maximum(high - low, 0)
    below = np.clip(under * grid.scale / 2 + 0.5, 0, 1)  # the edge, shared by the pixels it crosses
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
