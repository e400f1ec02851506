"""Figure 1: images down the side, models along the top, each with its maps and its probability."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrlens.errors import UserError
from cxrlens.explain.attribution_options import Picked
from cxrlens.explain.base import DISPLAYS, overlay
from cxrlens.explain.explained import Explained
from cxrlens.explain.methods import METHODS
from cxrlens.report.figures.style import GREY, SMALL, folded, new_figure

PANEL = 1.25  # inches
CAPTIONS = {
    "shared": "Colour: evidence for “positive”, on one scale for each model and method; none leaves the image bare.",
    "min-max": "Colour: each map stretched to its own range, so that weak evidence looks like strong.",
}


def maps_figure(
    images: Sequence[Picked], models: Sequence[Explained], note: str = "", display: str = "shared"
) -> Figure:
    """A block of rows an image, a row a method, a column a model; P is the model's probability of "positive".

    Args:
        images: what each is, in the order of the models' own.
        models: their maps; one that lacks a method of another has empty panels there.
        note: below the figure, before what the colours are.
        display: a name in `DISPLAYS`; "shared" has one colour scale for all images of a model and method.

    Raises:
        UserError: nothing to draw.
    """
    if not images or not models:
        raise UserError(f"Figure 1 needs at least one image and one model; got {len(images)} and {len(models)}")
    fullest = sorted(models, key=lambda each: -len(each.attributions))  # the order of one that has all
    methods = list(dict.fromkeys(one.method for each in fullest for one in each.attributions))
    rows, columns = len(images) * len(methods), len(models) + 1
    width, fold = PANEL * columns + 0.3, 17
    lines = max(folded(each.model, fold).count("\n") + 1 for each in models)
    figure = new_figure(width, 1.12 * PANEL * rows + 0.16 * lines + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False)
    for column, model in enumerate(models, start=1):
        maps = {each.method: each for each in model.attributions}
        for place, method in enumerate(methods):
            attribution = maps.get(method)
            if attribution is None:
                for number in range(len(images)):
                    axes = panels[number * len(methods) + place, column]
                    _bare(axes)
                    axes.text(0.5, 0.5, "not possible", ha="center", va="center", fontsize=SMALL, color=GREY)
                    _labels(axes, model, method, number, column, place, fold)
                continue
            how = DISPLAYS[display]
            scale = model.scale(attribution) if how.scale == "shared" else None
            drawn = overlay(model.images, attribution, display=how, scale=scale)
            for number in range(len(images)):
                axes = panels[number * len(methods) + place, column]
                _bare(axes)
                axes.imshow(drawn[number].clip(0, 1))
                _labels(axes, model, method, number, column, place, fold)
    finest = max(models, key=lambda each: each.images.shape[-1])
    for number, each in enumerate(images):
        axes = panels[number * len(methods), 0]
        _bare(axes)
        axes.imshow(finest.images[number, 0].numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title("\n".join(textwrap.wrap(each.why, 20)), fontsize=SMALL)
        axes.set_xlabel("\n".join(textwrap.wrap(each.image, 20)[:3]), fontsize=SMALL - 2, color=GREY)
        for place in range(1, len(methods)):
            panels[number * len(methods) + place, 0].axis("off")
    said = f"{note} {CAPTIONS[DISPLAYS[display].scale]} For research only.".strip()
    figure.supxlabel("\n".join(textwrap.wrap(said, int(width * 14))), fontsize=SMALL)
    return figure


def _labels(axes: Axes, model: Explained, method: str, number: int, column: int, place: int, fold: int) -> None:
    """The method beside the first column, the model and its P above the first row of an image."""
    if column == 1:
        axes.set_ylabel(METHODS[method].title, fontsize=SMALL)
    if place == 0:
        name = f"{folded(model.model, fold)}\n" if number == 0 else ""
        axes.set_title(f"{name}P {model.probabilities[number]:.2f}", fontsize=SMALL)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
