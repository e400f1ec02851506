"""What the figures share: colours for every eye (Okabe and Ito 2008), print sizes, and how they are written."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cxrlens.drawing import LiteralFigure
from cxrlens.errors import UserError
from cxrlens.evaluate.records import Evaluation
from cxrlens.files import write_atomically
from cxrlens.names import shortened
from cxrlens.outputs import picture_facts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#767676"
PALE = "#D9D9D9"
SMALL, NORMAL = 8, 9
DPI = 150


def as_results(results: Mapping[str, Any] | Evaluation) -> dict[str, Any]:
    """The results as plain values.

    Raises:
        UserError: they hold no model.
    """
    plain = results.to_json() if isinstance(results, Evaluation) else dict(results)
    if not plain.get("models"):
        raise UserError("a figure needs the results of at least one model; got none")
    return plain


def line_of(index: int) -> dict[str, Any]:
    """Colour and dashes of the model at a position: told apart without colour, too."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)], "linewidth": 1.6}


def number(value: float | None, digits: int = 2) -> str:
    """A value as text; unknown is a dash.

    >>> number(0.8163, 3), number(None)
    ('0.816', '–')
    """
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def probability(value: float | None) -> str:
    """A probability in three decimals; what these would call 0 or 1, in two digits of what it differs by.

    >>> probability(0.25), probability(3.85e-07), probability(1 - 2.0**-40), probability(None)
    ('0.250', '3.9e-07', '1 − 9.1e-13', '–')
    """
    if value is None or f"{value:.3f}" not in ("0.000", "1.000") or value in (0, 1):
        return number(value, 3)
    return f"{value:.1e}" if value < 0.5 else f"1 − {1 - value:.1e}"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """An interval as text.

    >>> interval(0.5312, 0.7911), interval(None, None)
    ('[0.53, 0.79]', '–')
    """
    return "–" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def estimate(row: Mapping[str, Any], name: str = "auc", digits: int = 3) -> str:
    """A value of a record with its interval; one of 5 to 9 patients is called rough, one of fewer is a dash.

    >>> estimate({"auc": 0.8163, "auc_low": 0.53, "auc_high": 0.79, "rough": True})
    '0.816 [0.53, 0.79] rough'
    """
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "–"
    rough = " rough" if row.get("rough") and name == "auc" and low is not None else ""
    return f"{number(value, digits)} {interval(low, high)}{rough}"


def percent(results: Mapping[str, Any]) -> str:
    """The intervals' level as text, such as "95%"."""
    return f"{100 * results.get('evaluation', {}).get('level', 0.95):g}%"


def counts(results: Mapping[str, Any]) -> str:
    """Who was judged, in words."""
    first = results["models"][0]
    said = (f"{first['positive']} positive and {first['negative']} negative validation images", first["patients"])
    return f"{said[0]} of {said[1]} patients"


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
