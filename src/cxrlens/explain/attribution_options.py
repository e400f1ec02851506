"""The study's `[explain]`: which figures are made, of which images, with how much work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pydantic import Field, field_validator

from cxrlens.config import Config
from cxrlens.errors import UserError, near_miss
from cxrlens.explain.activation_maximization import PRESETS, MaximizeOptions
from cxrlens.explain.activation_maximization.parametrizations import Pixels
from cxrlens.explain.base import DISPLAYS
from cxrlens.explain.methods import METHODS
from cxrlens.registry import Registry


class ExplainOptions(Config):
    """What a run is explained with; the networks don't depend on it.

    Attributes:
        figures: which of the paper's figures are made, and "spectrum": the pictures of Figure 2 in numbers.
        methods: the maps of Figure 1, by name.
        images: the images of Figure 1; where none are named, a choice from validation.
        also: more images, in a figure of their own, `figure1_also`.
        display: how maps are coloured: "shared" has one scale for a model and method, "paper" stretches each map to its
            own range, as the paper did.
        preset: of the pictures of Figures 2 and 3.
        iterations: of Figure 2.
        unit_iterations: of Figure 3.
        units: how many of a layer's channels Figure 3 shows.
        choose: "effect" shows the units that move the logit most, "seed" a random choice, as the paper did.
        seed: of the pictures, and of that choice.
        spectrum_seeds: pictures a model whose spectra and colours are measured.
        spectrum_iterations: of those.
        gallery: whether the report shows every validation image with its maps by every model.
    """

    figures: tuple[Literal[1, 2, 3, "spectrum"], ...] = (1, 2, 3, "spectrum")
    methods: tuple[str, ...] = Field(default=("grad_cam", "saliency"), min_length=1)
    images: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    display: str = "shared"
    preset: str = "modern"
    iterations: int = Field(default=256, ge=1)
    unit_iterations: int = Field(default=128, ge=1)
    units: int = Field(default=10, ge=1, le=16)
    choose: Literal["effect", "seed"] = "effect"
    seed: int = Field(default=0, ge=0, lt=2**32)
    spectrum_seeds: int = Field(default=10, ge=3)
    spectrum_iterations: int = Field(default=64, ge=1)
    gallery: bool = True

    @field_validator("methods")
    @classmethod
    def _methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _known(METHODS, name)
        return names

    @field_validator("preset")
    @classmethod
    def _preset(cls, name: str) -> str:
        _known(PRESETS, name)
        return name

    @field_validator("display")
    @classmethod
    def _display(cls, name: str) -> str:
        if name not in DISPLAYS:
            raise ValueError(near_miss("display", name, DISPLAYS))
        return name

    def maximization(self, still: bool, iterations: int) -> MaximizeOptions:
        """How the pictures of Figure 2a (`still`: no jitter) or of 2b and Figure 3 (jitter, no TV) are made.

        Of a preset on pixels the jitter is keras-vis' own, 0.05 of the side; of one on a spectrum, its transforms.
        """
        chosen = PRESETS[self.preset]
        if isinstance(chosen.parametrization, Pixels):
            changes = {} if still else {"wrap": 0.05, "tv": 0.0}
        else:
            changes = {"transforms": ()} if still else {}
        return chosen.model_copy(update={**changes, "iterations": iterations})


def _known(registry: Registry[Any], name: str) -> None:
    try:
        registry[name]
    except UserError as error:  # the same words; the study's place comes before them
        raise ValueError(str(error)) from error


# Which images Figure 1 shows where the study names none.


@dataclass(frozen=True)
class Picked:
    """An image of Figure 1.

    Attributes:
        image: its name in the cohort.
        why: what it is, and why it is here, for the figure.
    """

    image: str
    why: str


def pick(predictions: pd.DataFrame) -> list[Picked]:
    """The positive and the negative image that a network is surest of, and those where it errs most.

    Args:
        predictions: of one network on its validation side: image, label, probability.

    Returns:
        At most four: the surest first. One that would come twice comes once.
    """
    found: dict[str, Picked] = {}
    for label, name in ((1, "positive"), (0, "negative")):
        side = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(side):
            right = side["image"].iloc[-1 if label else 0]
            found[right] = Picked(right, f"{name}, {'highest' if label else 'lowest'} P")
    for label, name in ((1, "positive"), (0, "negative")):
        side = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(side) > 1:
            wrong = side["image"].iloc[0 if label else -1]
            found.setdefault(wrong, Picked(wrong, f"{name}, {'lowest' if label else 'highest'} P"))
    return list(found.values())
