"""What the figures share: colours for every eye (Okabe and Ito 2008), print sizes, and how they are written."""

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
    """Colour and dashes of the model at a position: told apart without colour, too."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)], "linewidth": 1.6}


def new_figure(width: float, height: float) -> Figure:
    """A white figure of a size in inches, drawn by Agg, known to no global state."""
    figure = LiteralFigure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Axis titles at print size, no box."""
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.set_title(title, fontsize=NORMAL, loc="left")
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def panel_columns(panels: int, most: int = 3) -> int:
    """How many panels stand beside each other: full rows where that can be, never a row of one below a full one.

    >>> [panel_columns(count) for count in (1, 2, 3, 4, 5, 6, 7)]
    [1, 2, 3, 2, 3, 3, 3]
    """
    return 2 if panels == 4 else min(most, panels)


def folded(name: str, width: int = 30, most: int = 120) -> str:
    """A model's name on as many lines as it needs above a panel or beside an axis; of a very long one both ends."""
    return "\n".join(textwrap.wrap(shortened(name, most), width)) or name


def save(figure: Figure, path: Path, command: str = "run") -> None:
    """Writes PNG (150 dpi) and PDF, each atomically and without a date: the same figure, the same bytes.

    Args:
        figure: any.
        path: of either, with or without its ending; other dots are part of the name.
        command: of cxrlens, by which the picture is known as its result.

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
