"""The study's `[explain]`: its options, and the choice of the images of Figure 1."""

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
    """The explanations of a run. The networks do not depend on these options.

    Attributes:
        figures: figures of the paper to make (1, 2, 3), and "spectrum": the pictures of Figure 2 in numbers.
        methods: names of the attribution methods of Figure 1 and of the gallery.
        images: images of Figure 1; if none are named, validation images are chosen by their P.
        also: further images, in a figure of their own, `figure1_also`.
        display: colours of the maps: "shared" has one scale for a model and method; "paper" stretches each map to its
            own range, as in the paper.
        preset: preset of activation maximization for the pictures of Figures 2 and 3.
        iterations: optimisation steps for the pictures of Figure 2.
        unit_iterations: optimisation steps for the pictures of Figure 3.
        units: number of a layer's channels in Figure 3.
        choose: choice of these channels: "effect": those that change the logit most; "seed": a random sample, as in the
            paper.
        seed: seed of the pictures and of the random sample.
        spectrum_seeds: number of pictures of each model whose spectra and colours are measured.
        spectrum_iterations: optimisation steps for these pictures.
        gallery: whether the report shows the validation images with their maps by every model: with folds, those of the
            first; of more than 400, a random sample.
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
    def _check_methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _require(METHODS, name)
        return names

    @field_validator("preset")
    @classmethod
    def _check_preset(cls, name: str) -> str:
        _require(PRESETS, name)
        return name

    @field_validator("display")
    @classmethod
    def _check_display(cls, name: str) -> str:
        if name not in DISPLAYS:
            raise ValueError(near_miss("display", name, DISPLAYS))
        return name

    def maximization(self, iterations: int, *, jitter: bool) -> MaximizeOptions:
        """Options of activation maximization for Figure 2a (no jitter), or for 2b and Figure 3 (jitter, no TV).

        With a preset on pixels, the jitter is keras-vis' own, 0.05 of the side; with one on a spectrum, it is the
        preset's transforms.

        Args:
            iterations: number of optimisation steps.
            jitter: whether the picture is moved at random during the optimisation.
        """
        preset = PRESETS[self.preset]
        if isinstance(preset.parametrization, Pixels):
            changes = {"wrap": 0.05, "tv": 0.0} if jitter else {}
        else:
            changes = {} if jitter else {"transforms": ()}
        return preset.model_copy(update={**changes, "iterations": iterations})


def _require(registry: Registry[Any], name: str) -> None:
    try:
        registry[name]
    except UserError as error:  # pydantic puts the key of the study file before the message
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class FigureImage:
    """An image of Figure 1.

    Attributes:
        image: name of the image in the cohort.
        caption: what the image is, and why it was chosen.
    """

    image: str
    caption: str


def choose_images(predictions: pd.DataFrame) -> list[FigureImage]:
    """The positive and negative image with the best prediction, then those with the worst.

    Args:
        predictions: predictions of one network on its validation set, with the columns image, label and probability.

    Returns:
        At most four images, the best predictions first; no image twice.
    """
    chosen: dict[str, FigureImage] = {}
    for label, name in ((1, "positive"), (0, "negative")):
        rows = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(rows):
            best = rows["image"].iloc[-1 if label else 0]
            chosen[best] = FigureImage(best, f"{name}, {'highest' if label else 'lowest'} P")
    for label, name in ((1, "positive"), (0, "negative")):
        rows = predictions[predictions["label"] == label].sort_values(["probability", "image"])
        if len(rows) > 1:
            worst = rows["image"].iloc[0 if label else -1]
            chosen.setdefault(worst, FigureImage(worst, f"{name}, {'lowest' if label else 'highest'} P"))
    return list(chosen.values())
