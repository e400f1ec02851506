"""What the phantom may be asked for; every share is a probability, every draw hangs on `seed`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cxrlens.config import Config

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class PhantomOptions(Config):
    """How a phantom X-ray is drawn.

    Attributes:
        prevalence: probability that a patient is positive.
        strength: how dense every finding is: 1 is the design, 0 draws both classes alike.
        negative_findings: share of the negative patients who have another finding.
        marker_positive: probability that an image of a positive carries the planted corner marker.
        marker_negative: the same for a negative; the marker tells nothing while the two are equal.
        size: pixels of the longer side; the other follows the site's detector.
        sites: number of devices, each with its own tone curve, noise, format and lettering.
        seed: of everything; another seed is another population.
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
