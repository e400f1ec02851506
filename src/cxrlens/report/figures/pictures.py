"""Figures 2 and 3: the pictures that a model's logit, and the units of its last layer, like most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import Convergence, judge
from cxrlens.report.figures.style import COLOURS, GREY, SMALL, folded, new_figure

Arrays = Mapping[str, np.ndarray]
PANELS = {"a": "a: no jitter", "b": "b: jitter, no TV"}


def logit_pictures_figure(models: Mapping[str, Mapping[str, Arrays]]) -> Figure:
    """A column a model, a row a panel of the paper's Figure 2; below each its logit beside the cohort's highest.

    Args:
        models: name → panel "a" or "b" → arrays `pictures` [1, 3, h, w], `shown` [1], `real` [images].

    Raises:
        UserError: there is no model.
    """
    if not models:
        raise UserError("Figure 2 needs at least one model; got none")
    lines = max(folded(name, 20).count("\n") + 1 for name in models)
    figure = new_figure(1.5 * len(models) + 0.4, 3.7 + 0.2 * lines)
    panels = figure.subplots(len(PANELS), len(models), squeeze=False)
    for column, (name, made) in enumerate(models.items()):
        for row, (panel, title) in enumerate(PANELS.items()):
            axes, arrays = panels[row, column], made[panel]
            _picture(axes, arrays["pictures"][0])
            if row == 0:
                axes.set_title(folded(name, 20), fontsize=SMALL)
            if column == 0:
                axes.set_ylabel(title, fontsize=SMALL)
            verdict = judge(float(arrays["shown"][0]), arrays["real"])
            _verdict(axes, f"logit {_three(verdict.shown)}; X-rays to {_three(verdict.most)}", verdict)
    return figure


def unit_pictures_figure(models: Mapping[str, Arrays], choose: str) -> Figure:
    """A block a model: its units' pictures, and below each the images of the cohort that the unit likes most.

    Args:
        models: name → arrays `layer`, `units` [u], `pictures` [u, 3, h, w], `shown` [u], `real` [u, images], `examples`
            uint8 [u, k, h, w].
        choose: "effect" or "seed": how the units were chosen.

    Raises:
        UserError: there is no model.
    """
    if not models:
        raise UserError("Figure 3 needs at least one model; got none")
    columns = max(len(each["units"]) for each in models.values())
    deep = 1 + max(each["examples"].shape[1] for each in models.values())
    side = 0.8
    width = max(4.5, side * columns + 0.3)
    figure = new_figure(width, len(models) * (deep * side + 0.75) + 0.4)
    blocks = np.atleast_1d(np.array(figure.subfigures(len(models), 1, squeeze=True), dtype=object))
    for block, (name, arrays) in zip(blocks, models.items(), strict=True):
        said = "those that move the logit most" if choose == "effect" else "chosen at random"
        title = folded(f"{name}: units of {arrays['layer']}, {said}", int(width * 15))
        block.suptitle(title, fontsize=SMALL, x=0.01, ha="left")
        panels = block.subplots(deep, columns, squeeze=False)
        for column in range(columns):
            if column >= len(arrays["units"]):
                for axes in panels[:, column]:
                    axes.axis("off")
                continue
            _picture(panels[0, column], arrays["pictures"][column])
            verdict = judge(float(arrays["shown"][column]), arrays["real"][column])
            panels[0, column].set_title(str(arrays["units"][column]), fontsize=SMALL - 1, pad=2)
            dead = not arrays["real"][column].any() and verdict.shown == 0
            text = "never on" if dead else f"{verdict.shown:.2g} / {verdict.most:.2g}"
            _verdict(panels[0, column], text, replace(verdict, converged=verdict.converged and not dead), SMALL - 2)
            for row in range(1, deep):
                _bare(panels[row, column])
                panels[row, column].imshow(arrays["examples"][column, row - 1], cmap="gray", vmin=0, vmax=255)
    said = (
        "Below a picture: its activation / the highest of the cohort; orange: did not converge. Then the images that "
        "the unit likes most."
    )
    figure.supxlabel(folded(said, int(width * 15)), fontsize=SMALL)
    return figure


def _picture(axes: Axes, picture: np.ndarray) -> None:
    _bare(axes)
    axes.imshow(picture.transpose(1, 2, 0).clip(0, 1))


def _verdict(axes: Axes, text: str, verdict: Convergence, size: float = SMALL - 1) -> None:
    if size >= SMALL - 1 and not verdict.converged:
        text += f"\n{verdict}"
    axes.set_xlabel(text, fontsize=size, color=GREY if verdict.converged else COLOURS[1], labelpad=2)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _three(value: float) -> str:
    """Three digits that matter, without an exponent where one is longer."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e5 else f"{value:.3g}"
