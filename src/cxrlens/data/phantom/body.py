"""The patient: what stays the same in every image of one person (drawn once, in centimetres)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Body:
    """Build of one patient; lengths in cm.

    Attributes:
        sex: "F" or "M".
        half_width: of the inside of the chest, at its widest.
        half_depth: of the same, front to back.
        height: from the apex to the right dome at full inspiration.
        fat: soft tissue over the ribs.
        breast: half-depth of the breast (0 for none).
        breast_drop: how low its centre is, below the apex.
        heart: size of the heart, 1 is ordinary.
        heart_axis: radians, from lying (0) to upright.
        knob: radius of the aortic knob; unfolds with age.
        mediastinum: half-width of its upper part.
        rib_slope: fall of a middle rib from back to front.
        rib_height: of a rib's section.
        bone: mineral, 1 is ordinary; falls with age.
        shoulder: height of the shoulders above the apex.
        scoliosis: sideways bow of the spine.
        dome_gap: how much lower the left dome is.
        gas: size of the stomach bubble, 0 for none.
        vessels: how marked the vessels are, 1 is ordinary.
        arm: distance of the arm from the trunk.
        corner: seed of the details (vessel tree, textures).
    """

    sex: str
    half_width: float
    half_depth: float
    height: float
    fat: float
    breast: float
    breast_drop: float
    heart: float
    heart_axis: float
    knob: float
    mediastinum: float
    rib_slope: float
    rib_height: float
    bone: float
    shoulder: float
    scoliosis: float
    dome_gap: float
    gas: float
    vessels: float
    arm: float
    corner: int


def draw_body(rng: np.random.Generator, sex: str, age: float) -> Body:
    """A patient's build, from sex, age (years) and chance."""
    female, old = sex == "F", (age - 50) / 20
    fat = float(np.clip(rng.gamma(4.0, 0.5), 0.6, 4.5))
    return Body(
        sex=sex,
        half_width=float(rng.normal(12.4 if female else 13.5, 0.6)),
        half_depth=float(rng.normal(8.6 if female else 9.4, 0.5) + 0.25 * old),
        height=float(rng.normal(22.3 if female else 23.8, 1.0)),
        fat=fat,
        breast=float(np.clip(rng.normal(2.0 + 0.55 * fat, 0.8), 0.8, 5.0)) if female else 0.0,
        breast_drop=float(rng.normal(18.5 + 0.9 * max(old, -1), 1.2)),
        heart=float(np.clip(rng.normal(0.90 + 0.03 * old, 0.06) + (rng.random() < 0.1) * 0.15, 0.78, 1.2)),
        heart_axis=float(rng.normal(0.72, 0.12)),
        knob=float(np.clip(rng.normal(1.6 + 0.22 * old, 0.2), 1.0, 2.6)),
        mediastinum=float(np.clip(rng.normal(2.7 + 0.12 * old, 0.25), 2.0, 3.6)),
        rib_slope=float(rng.normal(8.8, 1.2)),
        rib_height=float(rng.normal(1.28, 0.1)),
        bone=float(np.clip(rng.normal(1.0 - 0.1 * old, 0.15), 0.55, 1.4)),
        shoulder=float(rng.normal(2.2, 0.8)),
        scoliosis=float(rng.normal(0, 0.45)),
        dome_gap=float(np.clip(rng.normal(1.2, 0.6), -0.6, 2.6)),
        gas=float(np.clip(rng.normal(1.0, 0.6), 0.0, 2.2)) * float(rng.random() < 0.7),
        vessels=float(np.clip(rng.normal(1.0, 0.15), 0.6, 1.5)),
        arm=float(rng.normal(2.0, 1.5)),
        corner=int(rng.integers(2**31)),
    )
