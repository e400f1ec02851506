"""The findings: tissue in place of air, shaped by the lung that it fills and modulated by fractal texture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.grid import Grid, cloud
from cxrlens.data.phantom.organs import Chest, bell

Opacity = tuple[np.ndarray, float]
"""Share of the lung that is filled, [height, width] in [0, 1], and its density in [0, 1]."""


@dataclass(frozen=True)
class Finding:
    """The effect of a finding on an image.

    Attributes:
        tissue: length of tissue in place of air at strength 1, float32 [height, width] in cm.
        veiled: degree to which the vessels are hidden, float32 [height, width] in [0, 1].
        mask: bool [height, width], True where a reader would outline the finding.
    """

    tissue: np.ndarray
    veiled: np.ndarray
    mask: np.ndarray


def make_finding(name: str, grid: Grid, chest: Chest, extent: float, rng: np.random.Generator) -> Finding | None:
    """Draws a finding; None for a name without a drawing ("No finding").

    Args:
        name: name of the finding.
        grid: image plane.
        chest: organs along the beam.
        extent: extent of the finding, from 0 (slight) to 1 (severe).
        rng: random generator of the patient, so that the pattern is the same in all of the patient's images.
    """
    draw = _DRAWINGS.get(name)
    if draw is None:
        return None
    filled, density = draw(grid, chest, extent, rng)
    # A patch is about as thick as it is wide, not as deep as the chest.
    tissue = np.minimum(chest.lung, 9.0) * filled * np.float32(density)
    tissue = ndimage.gaussian_filter(tissue.astype(np.float32), 0.06 * grid.scale)
    return Finding(
        tissue, np.clip(filled * density * 1.6, 0, 1), (tissue > 0.35) & (tissue > 0.12 * tissue.max(initial=0))
    )


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """A smooth step from 0 below `low` to 1 above `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _patchy(prior: np.ndarray, rng: np.random.Generator, need: float, soft: float = 1.3) -> np.ndarray:
    """Ill-defined patches with texture, where the sum of `prior` and noise is high, in [0, 1]."""
    shape = (prior.shape[0], prior.shape[1])
    patches = _step(prior + 0.55 * cloud(rng, shape, first=6, octaves=4, roughness=0.62), need, need + soft)
    grain = np.clip(0.8 + 0.28 * cloud(rng, shape, first=20, octaves=3, roughness=0.8), 0.2, 1.5)
    return np.clip(patches * grain, 0, 1)


def _peripheral(grid: Grid, chest: Chest, extent: float, rng: np.random.Generator) -> Opacity:
    """Ground glass and consolidation of both lungs, mostly outer and lower, as typical of COVID-19 pneumonia."""
    right, left = rng.normal(0, 0.22, 2)
    lean = np.where(grid.x < 0, right, left).astype(np.float32)
    outer = _step(chest.across, -0.75, 0.75)
    lower = 0.3 + 0.7 * _step(chest.down, 0.25, 0.8)
    return _patchy(2.1 * outer * lower + lean, rng, 1.7 - 1.0 * extent), 0.30 + 0.28 * extent


def _edema(grid: Grid, chest: Chest, extent: float, rng: np.random.Generator) -> Opacity:
    """Opacities around the hila in the shape of a butterfly; the outer third is spared."""
    outer = _step(chest.across, -0.3, 0.65)
    level = np.exp(-(((chest.down - 0.55) / 0.30) ** 2))
    return _patchy(2.2 * (1 - outer) * level, rng, 1.5 - 0.8 * extent), 0.26 + 0.22 * extent


def _lobar(grid: Grid, chest: Chest, extent: float, rng: np.random.Generator) -> Opacity:
    """Dense consolidation of one lobe, with a sharp edge at the fissure."""
    side = rng.choice([-1.0, 1.0])
    tilt, upper = rng.normal(0.06, 0.05), rng.random() < 0.45
    fissure = (0.50 if upper else 0.56) + rng.normal(0, 0.03) + tilt * chest.across
    beyond = (fissure - chest.down) if upper else (chest.down - fissure)
    lobe = _step(beyond, -0.01, 0.03) * (1 - _step(beyond, 0.14 + 0.25 * extent, 0.42 + 0.3 * extent))
    shape = grid.shape
    fill = lobe * np.clip(0.85 + 0.3 * cloud(rng, shape, first=7, octaves=5, roughness=0.7), 0, 1.1)
    return np.clip(fill * (np.sign(grid.x) == side), 0, 1), 0.40 + 0.25 * extent


def _effusion(grid: Grid, chest: Chest, extent: float, rng: np.random.Generator) -> Opacity:
    """Fluid in one costophrenic angle, higher at the outer wall."""
    side = rng.choice([-1.0, 1.0])
    level = 0.99 - 0.22 * extent - 0.16 * np.clip(chest.across, -0.3, 1) ** 3
    level = level + 0.012 * cloud(rng, grid.shape, first=4, octaves=2)
    fluid = _step(chest.down - level, -0.03, 0.05)
    return fluid * (np.sign(grid.x) == side), 0.85


def _nodule(grid: Grid, chest: Chest, extent: float, rng: np.random.Generator) -> Opacity:
    """A ball of 1 to 3 cm with an irregular edge."""
    side = rng.choice([-1.0, 1.0])
    x, y = side * rng.uniform(0.42, 0.72) * 13.0, rng.uniform(0.25, 0.75) * chest.dome
    radius = 0.6 + 1.1 * extent
    uneven = 1 + 0.14 * cloud(rng, grid.shape, first=14, octaves=3)
    away = ((grid.x - x) ** 2 + (grid.y - y) ** 2) / (radius * uneven) ** 2
    return bell(away) * np.float32(min(1.0, radius / 3.5)), 0.9


_DRAWINGS: dict[str, Callable[[Grid, Chest, float, np.random.Generator], Opacity]] = {
    "COVID-19-like": _peripheral,
    "Consolidation": _lobar,
    "Effusion": _effusion,
    "Nodule": _nodule,
    "Edema": _edema,
}
