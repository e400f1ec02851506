"""The common style of the figures: colours for all kinds of vision (Okabe and Ito 2008), sizes, and file writing."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cxrlens.drawing import LiteralFigure
from cxrlens.files import write_atomically
from cxrlens.names import shortened
from cxrlens.outputs import picture_facts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#767676"
PALE = "#D9D9D9"
SMALL, NORMAL = 8, 9
DPI = 150


def line_of(index: int) -> dict[str, Any]:
    """The line style of the model at a position: colour and dashes, so that lines differ without colour too."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)], "linewidth": 1.6}


def new_figure(width: float, height: float) -> Figure:
    """A white figure of a size in inches, drawn by Agg, without pyplot's global state."""
    figure = LiteralFigure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Sets the axis titles and the title at print size, and removes the box."""
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.set_title(title, fontsize=NORMAL, loc="left")
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def panel_columns(panels: int, most: int = 3) -> int:
    """The number of panels in a row: full rows if possible, and 2 × 2 for four panels.

    >>> [panel_columns(count) for count in (1, 2, 3, 4, 5, 6, 7)]
    [1, 2, 3, 2, 3, 3, 3]
    """
    return 2 if panels == 4 else min(most, panels)


def folded(name: str, width: int = 30, most: int = 120) -> str:
    """A name wrapped into lines of `width` characters; of a name above `most` characters, both ends are kept."""
    return "\n".join(textwrap.wrap(shortened(name, most), width)) or name


def save(figure: Figure, path: Path, command: str = "run") -> None:
    """Writes a figure as PNG (150 dpi) and PDF, atomically and without a date, so that equal figures have equal bytes.

    Args:
        figure: the figure.
        path: path of the PNG or the PDF, with or without its suffix; other dots are part of the name.
        command: command of cxrlens that makes the figure; it is recorded in the files.

    Raises:
        UserError: the folder cannot be written.
    """
    name = path.name[:-4] if path.name.lower().endswith((".png", ".pdf")) else path.name
    for suffix in (".png", ".pdf"):
        target = path.with_name(name + suffix)
        facts = picture_facts(target, command)
        write_atomically(
            target,
            lambda draft, suffix=suffix, facts=facts: figure.savefig(draft, dpi=DPI, format=suffix[1:], metadata=facts),
        )
