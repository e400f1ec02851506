"""Figures of activation maximization: Figures 2 and 3, their spectra, and how the pictures form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from cxrlens.drawing import labelled
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import MaximizationResult, Objective, assess_convergence
from cxrlens.files import write_atomically
from cxrlens.report.figures.style import COLOURS, GREY, SMALL, folded, line_of, new_figure, plain_axes
from cxrlens.text import number

Arrays = Mapping[str, np.ndarray]
PANELS = {"a": "a: no jitter", "b": "b: jitter, no TV"}


def logit_pictures_figure(models: Mapping[str, Mapping[str, Arrays]]) -> Figure:
    """Figure 2: a column for each model and a row for each panel, with the picture that maximises the logit.

    The text below a picture is its logit and the highest logit of any X-ray of the cohort.

    Args:
        models: name → panel "a" or "b" → arrays `pictures` [1, 3, h, w], their logits `shown` [1], and the logits of
            the cohort `real` [images].

    Raises:
        UserError: there is no model.
    """
    if not models:
        raise UserError("Figure 2 needs at least one model; got none")
    lines = max(folded(name, 20).count("\n") + 1 for name in models)
    figure = new_figure(1.5 * len(models) + 0.4, 3.7 + 0.2 * lines)
    panels = figure.subplots(len(PANELS), len(models), squeeze=False)
    for column, (name, by_panel) in enumerate(models.items()):
        for row, (panel, title) in enumerate(PANELS.items()):
            axes, arrays = panels[row, column], by_panel[panel]
            _picture(axes, arrays["pictures"][0])
            if row == 0:
                axes.set_title(folded(name, 20), fontsize=SMALL)
            if column == 0:
                axes.set_ylabel(title, fontsize=SMALL)
            convergence = assess_convergence(float(arrays["shown"][0]), arrays["real"])
            logit, highest = _three_digits(convergence.activation), _three_digits(convergence.highest)
            text = f"logit {logit}; X-rays ≤ {highest}"
            _label(axes, text if convergence.converged else f"{text}\n{convergence}", convergence.converged)
    return figure


def unit_pictures_figure(models: Mapping[str, Arrays], choose: str) -> Figure:
    """Figure 3: a block for each model with its units' pictures; below each, the images that activate the unit most.

    Args:
        models: name → arrays `layer`, `units` [u], `pictures` [u, 3, h, w], their activations `shown` [u], the
            activations of the cohort `real` [u, images], and `examples` uint8 [u, k, h, w].
        choose: how the units were chosen: "effect" or "seed".

    Raises:
        UserError: there is no model.
    """
    if not models:
        raise UserError("Figure 3 needs at least one model; got none")
    columns = max(len(arrays["units"]) for arrays in models.values())
    rows = 1 + max(arrays["examples"].shape[1] for arrays in models.values())
    side = 0.8
    width = max(4.5, side * columns + 0.3)
    figure = new_figure(width, len(models) * (rows * side + 0.75) + 0.4)
    blocks = np.atleast_1d(np.array(figure.subfigures(len(models), 1, squeeze=True), dtype=object))
    choice = "those that change the logit most" if choose == "effect" else "chosen at random"
    for block, (name, arrays) in zip(blocks, models.items(), strict=True):
        title = folded(f"{name}: units of {arrays['layer']}, {choice}", int(width * 15))
        block.suptitle(title, fontsize=SMALL, x=0.01, ha="left")
        panels = block.subplots(rows, columns, squeeze=False)
        for column in range(columns):
            if column < len(arrays["units"]):
                _draw_unit(panels[:, column], arrays, column)
            else:
                for axes in panels[:, column]:
                    axes.axis("off")
    text = (
        "Below each synthetic image: its activation / the highest activation in the cohort (orange: did not converge), "
        "and the X-rays that activate the unit most."
    )
    figure.supxlabel(folded(text, int(width * 15)), fontsize=SMALL)
    return figure


def _draw_unit(column: np.ndarray, arrays: Arrays, unit: int) -> None:
    """Draws a unit's picture with its activation, and below it the images that activate the unit most."""
    top, *below = column
    _picture(top, arrays["pictures"][unit])
    top.set_title(str(arrays["units"][unit]), fontsize=SMALL - 1, pad=2)
    convergence = assess_convergence(float(arrays["shown"][unit]), arrays["real"][unit])
    if not arrays["real"][unit].any() and convergence.activation == 0:
        _label(top, "never on", False, SMALL - 2)
    else:
        text = f"{convergence.activation:.2g} / {convergence.highest:.2g}"
        _label(top, text, convergence.converged, SMALL - 2)
    for row, axes in enumerate(below):
        _bare(axes)
        axes.imshow(arrays["examples"][unit, row], cmap="gray", vmin=0, vmax=255)


def _picture(axes: Axes, picture: np.ndarray) -> None:
    _bare(axes)
    axes.imshow(picture.transpose(1, 2, 0).clip(0, 1))


def _label(axes: Axes, text: str, converged: bool, size: float = SMALL - 1) -> None:
    """Writes below a picture, in orange if it did not converge."""
    axes.set_xlabel(text, fontsize=size, color=GREY if converged else COLOURS[1], labelpad=2)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _three_digits(value: float) -> str:
    """A number with three significant digits, without an exponent below 100,000."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e5 else f"{value:.3g}"


# The pictures in numbers: spatial frequency and colour over seeds.

AXES = {"frequency": "mean frequency, cycles per pixel", "colour": "share of variance that is colour"}


def spectrum_figure(rings: Mapping[str, tuple[np.ndarray, np.ndarray]], numbers: Mapping[str, Any]) -> Figure:
    """Left: the share of power by spatial frequency (mean and range over seeds). Right: two means with intervals.

    Args:
        rings: model → centres and shares of the rings of its pictures' spectra, from `radial_spectrum`.
        numbers: `spectrum` of `explain.json`.
    """
    names = list(rings)
    figure = new_figure(9.0, max(3.0, 1.3 + 0.42 * len(names)))
    left, *right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    for index, (name, (centres, shares)) in enumerate(rings.items()):
        style = line_of(index)
        left.plot(centres, shares.mean(0), label=labelled(folded(name, 26)), **style)
        left.fill_between(centres, shares.min(0), shares.max(0), color=style["color"], alpha=0.15, linewidth=0)
    left.set_yscale("log")
    left.set_ylim(bottom=1e-5)
    left.yaxis.set_major_formatter(FuncFormatter(_power))
    plain_axes(left, "cycles per pixel", "share of power", f"{numbers['seeds']} seeds: mean and range")
    left.legend(fontsize=SMALL - 2, frameon=False)
    for axes, (key, title) in zip(right, AXES.items(), strict=True):
        for index, model in enumerate(numbers["models"]):
            estimate, colour = model[key], line_of(index)["color"]
            y = len(names) - 1 - index
            axes.plot([estimate["low"], estimate["high"]], [y, y], color=colour, linewidth=2)
            axes.plot(estimate["mean"], y, "o", color=colour)
        axes.set_yticks(range(len(names)), [folded(name, 24) for name in reversed(names)] if axes is right[0] else [])
        axes.set_ylim(-0.6, len(names) - 0.4)
        plain_axes(axes, title, "")
        axes.tick_params(axis="y", labelsize=SMALL - 1, length=0)
    return figure


def _power(value: float, _: object = None) -> str:
    """A power of ten as text.

    >>> _power(1e-3), _power(1.0)
    ('10⁻³', '10⁰')
    """
    return "10" + str(round(np.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


# How the pictures form: a strip, the curves of their activations, and an animation.

FRAME, LAST_FRAME = 400, 2000  # milliseconds


def formation_figure(result: MaximizationResult) -> Figure:
    """A row for each picture: its snapshots from left to right, then the final picture with its activation.

    Args:
        result: pictures with snapshots, from `maximize`.

    Raises:
        UserError: there are no snapshots.
    """
    _check_snapshots(result)
    columns = [*result.snapshot_iterations, None]
    rows = len(result.pictures)
    figure = new_figure(0.9 + 1.0 * len(columns), 0.35 + 1.12 * rows)
    panels = figure.subplots(rows, len(columns), squeeze=False)
    for row, title in enumerate(result.titles()):
        for column, iteration in enumerate(columns):
            axes = panels[row, column]
            last = iteration is None
            axes.imshow(_rgb(result.pictures[row] if last else result.snapshots[row, column]))
            _bare(axes)
            if last:
                axes.set_xlabel(f"activation {number(float(result.activations[row]))}", fontsize=SMALL)
            if row == 0:
                axes.set_title("picture" if last else "start" if iteration == 0 else str(iteration), fontsize=SMALL)
        panels[row, 0].set_ylabel(folded(title, 18), fontsize=SMALL)
    return figure


def convergence_figure(result: MaximizationResult, reference: Mapping[Objective, np.ndarray] | None = None) -> Figure:
    """The objective by iteration: a panel for each objective, a line for each picture.

    The dot at the right end is the activation of the displayed picture.

    Args:
        result: pictures from `maximize`.
        reference: objective → activations of real images (see `reference_activations`). A grey band is their range, a
            dotted line their 99th percentile. None draws neither.
    """
    objectives = list(dict.fromkeys(result.objectives))
    columns = min(3, len(objectives))
    lines = -(-len(objectives) // columns)
    figure = new_figure(max(3.4, 2.6 * columns), 2.3 * lines + 0.3)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels[len(objectives) :]:
        axes.remove()
    iterations = np.arange(1, result.curve.shape[1] + 1)
    for axes, objective in zip(panels, objectives, strict=False):
        if reference is not None and objective in reference:
            values = reference[objective]
            axes.axhspan(values.min(), values.max(), color=GREY, alpha=0.2, linewidth=0, label="real images")
            axes.axhline(np.percentile(values, 99), color=GREY, linewidth=0.8, linestyle=":", label="99th percentile")
        rows = [row for row, other in enumerate(result.objectives) if other == objective]
        for index, row in enumerate(rows):
            style, label = {**line_of(index), "linewidth": 0.9}, f"seed {result.seeds[row]}"
            axes.plot(iterations, result.curve[row], label=label, **style)
            axes.plot(iterations[-1] * 1.03, result.activations[row], "o", color=style["color"], markersize=4)
        plain_axes(axes, "iteration", "activation", folded(objective.title, 34))
    panels[0].legend(fontsize=SMALL - 1, frameon=False)
    return figure


def save_formation_gif(result: MaximizationResult, path: Path) -> None:
    """Writes an animation of the snapshots, with all pictures side by side; it ends with the final pictures.

    Args:
        result: pictures with snapshots, from `maximize`.
        path: path of the GIF. It has only 256 colours; the exact pictures are in `result`.

    Raises:
        UserError: there are no snapshots, or the folder cannot be written.
    """
    _check_snapshots(result)
    frames = [*np.moveaxis(result.snapshots, 1, 0), result.pictures]
    images = [Image.fromarray(np.hstack([_rgb(picture) for picture in frame])) for frame in frames]
    times = [FRAME] * (len(images) - 1) + [LAST_FRAME]
    write_atomically(
        path,
        lambda draft: images[0].save(
            draft, format="GIF", save_all=True, append_images=images[1:], duration=times, loop=0
        ),
    )


def _rgb(picture: np.ndarray) -> np.ndarray:
    """A picture [3, h, w] in [0, 1] as uint8 [h, w, 3]; a picture after an interrupt (NaN) is black."""
    return np.rint(np.nan_to_num(picture).transpose(1, 2, 0) * 255).astype(np.uint8)


def _check_snapshots(result: MaximizationResult) -> None:
    if not result.snapshot_iterations:
        raise UserError("the formation of a picture needs snapshots; got none: set options.snapshots to doubling(512)")
