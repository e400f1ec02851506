"""The synthetic patient: build in centimetres, and the facts of each image, drawn from named random streams."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from cxrlens.config import Config

# The options of the phantom. A share is a probability; all draws depend on `seed`.

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class PhantomOptions(Config):
    """How a phantom X-ray is drawn.

    Attributes:
        prevalence: probability that a patient is positive.
        strength: density of all findings, relative to the design; with 0 both classes look alike.
        negative_findings: share of the negative patients who have another finding.
        marker_positive: probability of the planted corner marker in an image of a positive patient.
        marker_negative: probability of the planted corner marker in an image of a negative patient; with equal
            probabilities the marker says nothing about the label.
        size: pixels of the longer side; the shorter side depends on the site's detector.
        sites: number of devices, each with its own tone curve, noise, format and lettering.
        seed: seed of all draws; another seed gives another population.
    """

    prevalence: Share = 0.5
    strength: float = Field(1.0, ge=0.0, le=4.0)
    negative_findings: Share = 0.5
    marker_positive: Share = 0.0
    marker_negative: Share = 0.0
    size: int = Field(256, ge=64, le=2048)
    sites: int = Field(4, ge=1, le=6)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _strength_is_a_number(self) -> PhantomOptions:
        if not self.strength < float("inf"):
            raise ValueError("strength must be a finite number")
        return self


# Named random streams: each part of the phantom draws from its own, so that no part changes another. The label cannot
# leak through the anatomy, the exposure or the noise, because their streams do not depend on it.


def stream(name: str, *numbers: int) -> np.random.Generator:
    """A random generator that depends only on its name and numbers.

    Args:
        name: name of the stream, such as "noise".
        *numbers: integers such as seed, patient and image.

    >>> a, b = stream("noise", 0, 3, 1), stream("noise", 0, 3, 1)
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])


@dataclass(frozen=True)
class Body:
    """The build of a patient, the same in all images; lengths in cm.

    Attributes:
        sex: "F" or "M".
        half_width: largest half-width of the inside of the chest.
        half_depth: half-depth of the inside of the chest, front to back.
        height: distance from the apex to the right dome at full inspiration.
        fat: thickness of the soft tissue over the ribs.
        breast: half-depth of the breast (0 for none).
        breast_drop: distance of the breast's centre below the apex.
        heart: size of the heart relative to an ordinary one.
        heart_axis: angle of the heart in radians, from horizontal (0) to upright.
        knob: radius of the aortic knob; grows with age.
        mediastinum: half-width of the upper mediastinum.
        rib_slope: fall of a middle rib from back to front.
        rib_height: height of a rib's cross-section.
        bone: bone mineral relative to an ordinary patient; falls with age.
        shoulder: height of the shoulders above the apex.
        scoliosis: sideways bend of the spine.
        dome_gap: distance of the left dome below the right one.
        gas: size of the stomach bubble relative to an ordinary one, 0 for none.
        vessels: density of the vessels relative to an ordinary patient.
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
    """Draws the build of a patient.

    Args:
        rng: random generator of the patient.
        sex: "F" or "M".
        age: age in years.
    """
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


# The facts of a phantom image, known before it is drawn: its label and the other cells of its row.

POSITIVE = "COVID-19-like"
NO_FINDING = "No finding"
NEGATIVES = ("Consolidation", "Effusion", "Nodule", "Edema")

NOTES = {
    POSITIVE: "synthetic: bilateral peripheral opacities, lower more than upper",
    NO_FINDING: "synthetic: clear lungs",
    "Consolidation": "synthetic: consolidation of one lobe",
    "Effusion": "synthetic: pleural effusion, one side",
    "Nodule": "synthetic: a nodule",
    "Edema": "synthetic: central opacities of both lungs",
}


@dataclass(frozen=True)
class Facts:
    """The facts of an image, as in a row of a table.

    Attributes:
        label: label of the image, 1 or 0.
        finding: `POSITIVE`, `NO_FINDING` or one of `NEGATIVES`.
        view: "PA", "AP" or "AP Supine".
        site: index into `exposure.SITES`.
        sex: "F" or "M".
        age: age of the patient in years.
        date: ISO date of the image.
        planted: whether the image has the planted marker.
    """

    label: int
    finding: str
    view: str
    site: int
    sex: str
    age: int
    date: str
    planted: bool

    @property
    def notes(self) -> str:
        """A description of the finding."""
        return NOTES[self.finding]


def draw_facts(patient: int, image: int, options: PhantomOptions) -> Facts:
    """Draws the facts of an image; facts of the patient are the same in all of the patient's images.

    Args:
        patient: number of the patient, from 0.
        image: number of the image, from 1.
        options: options of the phantom.
    """
    person = stream("person", options.seed, patient)
    sex, age = str(person.choice(["F", "M"])), int(np.clip(person.normal(56, 17), 18, 92))
    site, usual = int(person.integers(options.sites)), _view(person)
    start = date(2019, 1, 1) + timedelta(days=int(person.integers(600)))

    health = stream("health", options.seed, patient)
    positive, other, kind = health.random() < options.prevalence, health.random(), int(health.integers(len(NEGATIVES)))
    finding = POSITIVE if positive else NEGATIVES[kind] if other < options.negative_findings else NO_FINDING

    visit = stream("visit", options.seed, patient, image)
    view = usual if visit.random() < 0.7 else _view(visit)
    day = start + timedelta(days=3 * image + int(visit.integers(3)))
    planted = visit.random() < (options.marker_positive if positive else options.marker_negative)
    return Facts(int(positive), finding, view, site, sex, age, day.isoformat(), bool(planted))


def _view(rng: np.random.Generator) -> str:
    return str(rng.choice(["PA", "AP", "AP Supine"], p=[0.55, 0.27, 0.18]))
