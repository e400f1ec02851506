"""How pictures of activation maximization form: a strip, an animation, and the curve of what they reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import Activation, Objective
from cxrlens.files import write_atomically
from cxrlens.report.figures.style import GREY, SMALL, folded, line_of, new_figure, number, plain_axes

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
