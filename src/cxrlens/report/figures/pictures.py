"""Figures 2 and 3: the pictures that a model's logit, and the units of its last layer, like most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from cxrlens.drawing import labelled
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import Activation, Convergence, Objective, assess_convergence
from cxrlens.files import write_atomically
from cxrlens.report.figures.style import COLOURS, GREY, SMALL, folded, line_of, new_figure, plain_axes
from cxrlens.text import number

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
            verdict = assess_convergence(float(arrays["shown"][0]), arrays["real"])
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
            verdict = assess_convergence(float(arrays["shown"][column]), arrays["real"][column])
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


# How fine and how colourful each model's activation pictures are, over seeds.

AXES = {"frequency": "mean frequency, cycles a pixel", "colour": "share of variance that is colour"}


def spectrum_figure(rings: Mapping[str, tuple[np.ndarray, np.ndarray]], found: Mapping[str, Any]) -> Figure:
    """Left, the share of power by spatial frequency (mean and range over seeds); right, two means with intervals.

    Args:
        rings: model → what `radial_spectrum` gives.
        found: `spectrum` of `explain.json`.
    """
    names = list(rings)
    figure = new_figure(9.0, max(3.0, 1.3 + 0.42 * len(names)))
    left, *right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    for place, (name, (middles, shares)) in enumerate(rings.items()):
        look = line_of(place)
        left.plot(middles, shares.mean(0), label=labelled(folded(name, 26)), **look)
        left.fill_between(middles, shares.min(0), shares.max(0), color=look["color"], alpha=0.15, linewidth=0)
    left.set_yscale("log")
    left.set_ylim(bottom=1e-5)
    left.yaxis.set_major_formatter(FuncFormatter(_power))
    plain_axes(left, "cycles a pixel", "share of power", f"{found['seeds']} seeds: mean and range")
    left.legend(fontsize=SMALL - 2, frameon=False)
    for axes, (key, title) in zip(right, AXES.items(), strict=True):
        for place, model in enumerate(found["models"]):
            told, look = model[key], line_of(place)
            y = len(names) - 1 - place
            axes.plot([told["low"], told["high"]], [y, y], color=look["color"], linewidth=2)
            axes.plot(told["mean"], y, "o", color=look["color"])
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


# How pictures of activation maximization form: a strip, an animation, and the curve of what they reached.

FRAME, LAST_FRAME = 400, 2000  # milliseconds


def formation_figure(activation: Activation) -> Figure:
    """A row a picture: its snapshots from left to right, then the picture with its activation as shown.

    Raises:
        UserError: no snapshots were taken.
    """
    _check_snapshots(activation)
    columns = [*activation.snapshot_iterations, None]
    rows = len(activation.pictures)
    figure = new_figure(0.9 + 1.0 * len(columns), 0.35 + 1.12 * rows)
    panels = figure.subplots(rows, len(columns), squeeze=False)
    for row, title in enumerate(activation.titles()):
        for column, iteration in enumerate(columns):
            axes = panels[row, column]
            last = iteration is None
            axes.imshow(_rgb(activation.pictures[row] if last else activation.snapshots[row, column]))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if last:
                axes.set_xlabel(f"as shown: {number(float(activation.shown[row]))}", fontsize=SMALL)
            if row == 0:
                axes.set_title("picture" if last else "start" if iteration == 0 else str(iteration), fontsize=SMALL)
        panels[row, 0].set_ylabel(folded(title, 18), fontsize=SMALL)
    return figure


def convergence_figure(activation: Activation, reference: Mapping[Objective, np.ndarray] | None = None) -> Figure:
    """The objective by iteration, a line a picture; a dot at the right is the picture as shown.

    Args:
        activation: any; a panel for each objective.
        reference: what real images reach (see `reference_activations`), where the grey band is to end at their
            maximum, with a line at their 99th percentile.
    """
    wanted = list(dict.fromkeys(activation.objectives))
    columns = min(3, len(wanted))
    lines = -(-len(wanted) // columns)
    figure = new_figure(max(3.4, 2.6 * columns), 2.3 * lines + 0.3)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels[len(wanted) :]:
        axes.remove()
    iterations = np.arange(1, activation.curve.shape[1] + 1)
    for axes, objective in zip(panels, wanted, strict=False):
        if reference is not None and objective in reference:
            values = reference[objective]
            axes.axhspan(values.min(), values.max(), color=GREY, alpha=0.2, linewidth=0, label="real images")
            axes.axhline(np.percentile(values, 99), color=GREY, linewidth=0.8, linestyle=":", label="their 99%")
        rows = [row for row, each in enumerate(activation.objectives) if each == objective]
        for place, row in enumerate(rows):
            look, label = {**line_of(place), "linewidth": 0.9}, f"seed {activation.seeds[row]}"
            axes.plot(iterations, activation.curve[row], label=label, **look)
            axes.plot(iterations[-1] * 1.03, activation.shown[row], "o", color=look["color"], markersize=4)
        plain_axes(axes, "iteration", "activation", folded(objective.title, 34))
    panels[0].legend(fontsize=SMALL - 1, frameon=False)
    return figure


def save_formation_gif(activation: Activation, path: Path) -> None:
    """Writes an animation of the snapshots, all pictures side by side; it ends, and repeats, at the pictures as shown.

    Args:
        activation: with snapshots.
        path: of the GIF. Its 256 colours are for the eye; the pictures themselves are in `activation`.

    Raises:
        UserError: no snapshots were taken, or the folder cannot be written.
    """
    _check_snapshots(activation)
    frames = [*np.moveaxis(activation.snapshots, 1, 0), activation.pictures]
    images = [Image.fromarray(np.hstack([_rgb(picture) for picture in frame])) for frame in frames]
    times = [FRAME] * (len(images) - 1) + [LAST_FRAME]
    write_atomically(
        path,
        lambda draft: images[0].save(
            draft, format="GIF", save_all=True, append_images=images[1:], duration=times, loop=0
        ),
    )


def _rgb(picture: np.ndarray) -> np.ndarray:
    """A picture [3, h, w] in [0, 1] as uint8 [h, w, 3]; black where an interrupt came before."""
    return np.rint(np.nan_to_num(picture).transpose(1, 2, 0) * 255).astype(np.uint8)


def _check_snapshots(activation: Activation) -> None:
    if not activation.snapshot_iterations:
        raise UserError("how a picture formed needs snapshots; got none: state options.snapshots, e.g. doubling(512)")
