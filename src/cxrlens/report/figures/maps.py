"""Figure 1: a block of rows for each image, a column for each model, with the maps and the probability of each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrlens.errors import UserError
from cxrlens.explain.attribution_options import FigureImage
from cxrlens.explain.base import DISPLAYS, overlay
from cxrlens.explain.methods import METHODS
from cxrlens.explain.model_explanation import ModelExplanation
from cxrlens.report.figures.style import GREY, SMALL, folded, new_figure

PANEL = 1.25  # inches
NAME_WIDTH = 17  # characters of a model's name on one line
CAPTIONS = {
    "shared": "Colour: evidence for “positive”, on one scale for each model and method. Without evidence, the image "
    "stays grey.",
    "min-max": "Colour: each map stretched to its own range, so that weak evidence looks strong.",
}


def maps_figure(
    images: Sequence[FigureImage], models: Sequence[ModelExplanation], note: str = "", display: str = "shared"
) -> Figure:
    """A block of rows for each image, with a row for each method and a column for each model.

    P is the model's probability of "positive".

    Args:
        images: names and captions of the images, in the order of the models' arrays.
        models: the maps of each model. If a model lacks a method that another one has, its panels are empty.
        note: text below the figure, before the explanation of the colours.
        display: a name in `DISPLAYS`; "shared" has one colour scale for all images of a model and method.

    Raises:
        UserError: there is no image or no model.
    """
    if not images or not models:
        raise UserError(f"Figure 1 needs at least one image and one model; got {len(images)} and {len(models)}")
    most_complete = sorted(models, key=lambda model: -len(model.attributions))  # its order of methods comes first
    methods = list(dict.fromkeys(maps.method for model in most_complete for maps in model.attributions))
    rows, columns = len(images) * len(methods), len(models) + 1
    width = PANEL * columns + 0.3
    lines = max(folded(model.model, NAME_WIDTH).count("\n") + 1 for model in models)
    figure = new_figure(width, 1.12 * PANEL * rows + 0.16 * lines + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False)
    for column, model in enumerate(models, start=1):
        _draw_model(panels[:, column], model, methods, display)
        for row in range(rows):
            image, method = divmod(row, len(methods))
            if method == 0:
                name = f"{folded(model.model, NAME_WIDTH)}\n" if image == 0 else ""
                panels[row, column].set_title(f"{name}P {model.probabilities[image]:.2f}", fontsize=SMALL)
    for row in range(rows):
        panels[row, 1].set_ylabel(METHODS[methods[row % len(methods)]].title, fontsize=SMALL)
    _draw_images(panels[:, 0], images, models, len(methods))
    text = f"{note} {CAPTIONS[DISPLAYS[display].scale]} For research only.".strip()
    figure.supxlabel("\n".join(textwrap.wrap(text, int(width * 14))), fontsize=SMALL)
    return figure


def _draw_model(column: np.ndarray, model: ModelExplanation, methods: Sequence[str], display: str) -> None:
    """Draws one model's column: for each image a panel for each method."""
    maps = {attribution.method: attribution for attribution in model.attributions}
    for index, method in enumerate(methods):
        panels, attribution = column[index :: len(methods)], maps.get(method)
        for axes in panels:
            _bare(axes)
        if attribution is None:
            for axes in panels:
                axes.text(0.5, 0.5, "not possible", ha="center", va="center", fontsize=SMALL, color=GREY)
            continue
        scale = model.scale(attribution) if DISPLAYS[display].scale == "shared" else None
        for axes, picture in zip(panels, overlay(model.images, attribution, display=display, scale=scale), strict=True):
            axes.imshow(picture.clip(0, 1))


def _draw_images(
    column: np.ndarray, images: Sequence[FigureImage], models: Sequence[ModelExplanation], methods: int
) -> None:
    """Draws the first column: each image at the largest size that any model has, with its caption and name."""
    finest = max(models, key=lambda model: model.images.shape[-1])
    for number, image in enumerate(images):
        axes, *empty = column[number * methods : (number + 1) * methods]
        _bare(axes)
        axes.imshow(finest.images[number, 0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title("\n".join(textwrap.wrap(image.caption, 20)), fontsize=SMALL)
        axes.set_xlabel("\n".join(textwrap.wrap(image.image, 20)[:3]), fontsize=SMALL - 2, color=GREY)
        for panel in empty:
            panel.axis("off")


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
