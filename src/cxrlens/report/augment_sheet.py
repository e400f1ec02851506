"""Contact sheet of augmentations: one row per image, one column per augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrlens.data.augment import Augmentation, Parameters, apply, turned_on
from cxrlens.data.seeds import generator
from cxrlens.drawing import LiteralFigure
from cxrlens.errors import UserError
from cxrlens.names import shortened


def augment_sheet(
    images: Sequence[np.ndarray], names: Sequence[str], augmentation_by_name: Mapping[str, Augmentation], seed: int
) -> Figure:
    """Draws each image without augmentation, then once per augmentation, with the drawn parameters below.

    The parameters are spread evenly over their ranges (a Latin hypercube), so that a few rows show the full range. An
    augmentation that can only flip flips every row.

    Args:
        images: images before augmentation, float32 [height, width] in [0, 1], as the network receives them.
        names: names of the images.
        augmentation_by_name: heading of a column → its augmentation.
        seed: seed of the draws. The draws of one column do not depend on the other columns.

    Raises:
        UserError: `images` is empty.
    """
    if not images:
        raise UserError("a contact sheet needs at least one image; got none")
    figure = LiteralFigure(
        figsize=(1.7 * (1 + len(augmentation_by_name)) + 0.4, 1.95 * len(images) + 0.5), layout="constrained"
    )
    draws = _spread(len(images), generator(seed))
    grid = figure.subplots(len(images), 1 + len(augmentation_by_name), squeeze=False)
    for row, (image, name) in enumerate(zip(images, names, strict=True)):
        _panel(grid[row, 0], image, "", "original" if row == 0 else "")
        grid[row, 0].set_ylabel(shortened(name, 28), fontsize=6)
        for column, (heading, augmentation) in enumerate(augmentation_by_name.items(), start=1):
            parameters = augmentation.variants[-1] if augmentation.variants else augmentation.at(draws[row])
            title = f"{heading}\n{_strength(augmentation)}" if row == 0 else ""
            _panel(grid[row, column], apply(image, parameters), caption(parameters), title)
    return figure


def caption(parameters: Parameters) -> str:
    """The augmentation of one image as a short text.

    >>> caption(Parameters(flip=True, shift=-0.031, brightness=0.8))
    'flipped, shift -3.1%, brightness × 0.80'
    """
    parts = {
        "flipped": parameters.flip,
        f"shift {parameters.shift:+.1%}": parameters.shift,
        f"zoom × {parameters.zoom:.2f}": parameters.zoom != 1,
        f"channels {parameters.channel_shift:+.2f}": parameters.channel_shift,
        f"{parameters.rotation:+.1f}°": parameters.rotation,
    }
    if parameters.brightness is not None:
        parts[f"brightness × {parameters.brightness:.2f}"] = True
    return ", ".join(text for text, applied in parts.items() if applied) or "unchanged"


def _spread(count: int, rng: np.random.Generator) -> list[list[float]]:
    """`count` draws of six numbers in [0, 1), with one draw in each `count`-th part of every range."""
    parts = rng.permuted(np.tile(np.arange(count), (6, 1)), axis=1).T
    return ((parts + rng.random((count, 6))) / count).tolist()


def _panel(axes: Axes, image: np.ndarray, below: str, above: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)  # a fixed scale, so that a change of brightness shows
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(_wrapped(below), fontsize=6)
    axes.set_title(above, fontsize=7)


def _strength(augmentation: Augmentation) -> str:
    options = turned_on(augmentation)
    if augmentation.variants:
        return "every row"
    if len(options) == 1:
        value = next(iter(options.values()))
        return value if value.startswith("[") else f"± {value}"
    return " + ".join(options) if len(options) == 2 else f"{len(options)} together"


def _wrapped(text: str) -> str:
    """The text with two parts per line, to fit under a panel."""
    parts = text.split(", ")
    return "\n".join(", ".join(parts[start : start + 2]) for start in range(0, len(parts), 2))
