"""What a phantom image is, before a pixel is drawn: its label and everything a table would say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from cxrlens.data.phantom.options import PhantomOptions
from cxrlens.data.phantom.streams import stream

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
    """One image's row.

    Attributes:
        label: 1 or 0.
        finding: `POSITIVE`, `NO_FINDING` or one of `NEGATIVES`.
        view: "PA", "AP" or "AP Supine".
        site: index into `sites.SITES`.
        sex: "F" or "M".
        age: years, at the image.
        date: ISO date of the image.
        planted: whether the planted marker is on it.
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
        """The finding in words."""
        return NOTES[self.finding]


def draw_facts(patient: int, image: int, options: PhantomOptions) -> Facts:
    """The facts of one image; those of the patient are the same in all of a patient's images."""
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
