"""The study's `[explain]`: which figures are made, of which images, with how many steps."""

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
    """Options of a run's figures. The networks do not depend on them.

    Attributes:
        figures: figures of the paper that are made. "spectrum" measures spectra and colours of synthetic images like
            those of Figure 2.
        methods: attribution methods whose maps Figure 1 shows.
        images: images in Figure 1, by name; an empty list lets the run choose up to four validation images.
        also: further images, by name, for a separate figure, `figure1_also`.
        display: colour scale of the maps: "shared" has one scale for each model and method, "paper" stretches each map
            to its own range, as the paper did.
        preset: settings of the activation maximization that makes the synthetic images of Figures 2 and 3.
        iterations: number of optimization steps for each synthetic image of Figure 2.
        unit_iterations: number of optimization steps for each synthetic image of Figure 3.
        units: number of channels that Figure 3 shows of a layer.
        choose: choice of the channels in Figure 3: "effect" takes those that change the logit most, "seed" takes random
            ones, as the paper did.
        seed: seed of the synthetic images, and of the random choice of channels in Figure 3.
        spectrum_seeds: number of synthetic images per model that "spectrum" measures.
        spectrum_iterations: number of optimization steps for each synthetic image of "spectrum".
        gallery: whether the report shows every validation image with the maps of every model.
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
        """Options of the activation maximization of the paper's figures, from the preset.

        Args:
            still: True for Figure 2a, without jitter; False for Figures 2b and 3, with jitter and without total
                variation. A preset on pixels has keras-vis' jitter, 0.05 of the side; one on a spectrum has its own
                transforms.
            iterations: number of optimization steps.
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
    except UserError as error:  # pydantic puts the place in the study before the message
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Picked:
    """An image of Figure 1 that the run chose.

    Attributes:
        image: name of the image in the cohort.
        why: class of the image and reason for the choice, such as "positive, highest P", for the figure.
    """

    image: str
    why: str


def pick(predictions: pd.DataFrame) -> list[Picked]:
    """Chooses the images of Figure 1: the best and the worst predicted image of each class.

    Args:
        predictions: predictions of one network on its validation set, with the columns image, label and probability.

    Returns:
        At most four images, the best predicted ones first. No image is given twice.
    """
    chosen: dict[str, Picked] = {}
    for label, name in ((1, "positive"), (0, "negative")):
        ranked = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(ranked):
            best = ranked["image"].iloc[-1 if label else 0]
            chosen[best] = Picked(best, f"{name}, {'highest' if label else 'lowest'} P")
    for label, name in ((1, "positive"), (0, "negative")):
        ranked = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(ranked) > 1:
            worst = ranked["image"].iloc[0 if label else -1]
            chosen.setdefault(worst, Picked(worst, f"{name}, {'lowest' if label else 'highest'} P"))
    return list(chosen.values())
