"""The figure of reuse: how much training changed each block, and how similar the trained models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from cxrlens.errors import UserError
from cxrlens.report.figures.style import COLOURS, GREY, PALE, SMALL, folded, new_figure, panel_columns, plain_axes
from cxrlens.text import number

KINDS = (
    ("weights", "weights", "o", COLOURS[0]),
    ("batchnorm", "BatchNorm's scale and shift", "s", COLOURS[1]),
    ("statistics", "BatchNorm's running statistics", "^", COLOURS[2]),
)
MARK, HOLLOW = 3.5, "white"
SPREAD = 0.22  # distance between kinds, as a share of a block's width
LINEAR_BELOW = 1e-3  # distance below which the logarithmic axis becomes linear, down to 0


def reuse_figure(reuse: Mapping[str, Any]) -> Figure:
    """CKA and relative distance of each model by block; in the last panel, CKA of the models' final features.

    Args:
        reuse: result of the audit's probe `reuse`: `models` with their `blocks`, `between`, and `level`.

    Raises:
        UserError: there is no model.
    """
    models = reuse["models"]
    if not models:
        raise UserError("the figure of reuse needs at least one model; got none")
    panels = len(models) + bool(reuse["between"])
    columns = panel_columns(panels)
    rows = -(-panels // columns)
    figure = new_figure(max(4.0, 3.0 * columns), 4.4 * rows + 0.8)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[1, 1] * rows)
    pairs = []
    for index, model in enumerate(models):
        row, column = divmod(index, columns)
        above = figure.add_subplot(grid[2 * row, column])
        below = figure.add_subplot(grid[2 * row + 1, column], sharex=above)
        title = folded(f"{ascii_uppercase[index % 26]}  {model['name']}", 34)
        start = "\n(started from random weights)" if model["random"] else ""
        plain_axes(above, "", "CKA, before and after" if column == 0 else "", title + start)
        plain_axes(below, "", "relative distance\n‖after − before‖ / ‖before‖" if column == 0 else "")
        above.title.set_fontsize(SMALL)
        above.yaxis.label.set_fontsize(SMALL)
        below.yaxis.label.set_fontsize(SMALL)
        pairs.append((above, below))
    _similarities([above for above, _ in pairs], models)
    _distances([below for _, below in pairs], models)
    if reuse["between"]:
        row, column = divmod(len(models), columns)
        _matrix(figure.add_subplot(grid[2 * row : 2 * row + 2, column]), reuse)
    _legend(figure, models, f"{100 * reuse.get('level', 0.95):g}%")
    return figure


def _similarities(panels: Sequence[Axes], models: Sequence[Mapping[str, Any]]) -> None:
    lows = [block[key] for model in models for block in model["blocks"] for key in ("cka", "low") if block[key]]
    for axes, model in zip(panels, models, strict=True):
        axes.set_ylim(max(-1.05, min([-0.05, *(low - 0.05 for low in lows)])), 1.08)
        axes.tick_params(labelbottom=False)
        if not model["blocks"]:
            _write(axes, folded(model["note"], 36))
            axes.set_axis_off()
            continue
        axes.axhline(1, color=PALE, linewidth=0.8, zorder=0)
        axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
        for x, block in enumerate(model["blocks"]):
            _point(axes, x, block, "cka", "o", "black", (block["low"], block["high"]))
        if all(block["cka"] == 1 for block in model["blocks"]):
            _write(axes, "nothing changed: exactly 1")


def _distances(panels: Sequence[Axes], models: Sequence[Mapping[str, Any]]) -> None:
    values = [block[kind] or 0 for model in models for block in model["blocks"] for kind, *_ in KINDS]
    largest = max([1.0, *values])
    decades = [10.0**power for power in range(round(np.log10(LINEAR_BELOW)), int(np.ceil(np.log10(largest))) + 1)]
    for axes, model in zip(panels, models, strict=True):
        axes.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.5)
        axes.set_ylim(-LINEAR_BELOW / 3, largest * 1.8)
        axes.yaxis.set_major_locator(FixedLocator([0, *decades]))
        axes.yaxis.set_minor_locator(FixedLocator([]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        names = _short([block["block"] for block in model["blocks"]])
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=SMALL - 1.5)
        axes.set_xlim(-0.6, max(1, len(names)) - 0.4)
        if not names:
            axes.set_axis_off()
            continue
        axes.axhline(0, color=PALE, linewidth=0.8, zorder=0)
        for shift, (kind, _, marker, colour) in zip((-SPREAD, 0, SPREAD), KINDS, strict=True):
            for x, block in enumerate(model["blocks"]):
                _point(axes, x + shift, block, kind, marker, colour, None)
        if not any(block[kind] for block in model["blocks"] for kind, *_ in KINDS):
            _write(axes, "nothing changed: exactly 0")


def _point(
    axes: Axes,
    x: float,
    block: Mapping[str, Any],
    kind: str,
    marker: str,
    colour: str,
    by_patients: tuple[Any, Any] | None,
) -> None:
    """A value with a thin interval over patients and a broad pale one over seeds; hollow if nothing changed at all."""
    if block[kind] is None:
        return
    seeds = (block.get("over_seeds") or {}).get(kind)
    if seeds and None not in (seeds["low"], seeds["high"]):
        axes.plot([x, x], [seeds["low"], seeds["high"]], color=colour, alpha=0.25, linewidth=5, solid_capstyle="butt")
    if by_patients and None not in by_patients:
        axes.plot([x, x], by_patients, color=colour, linewidth=1)
    fill = HOLLOW if block[kind] == (1 if kind == "cka" else 0) else colour
    axes.plot(x, block[kind], marker, color=colour, markerfacecolor=fill, markersize=MARK, clip_on=False)


def _matrix(axes: Axes, reuse: Mapping[str, Any]) -> None:
    names = [model["name"] for model in reuse["models"]]
    values = np.full((len(names), len(names)), np.nan)
    for pair in reuse["between"]:
        first, second = sorted((names.index(pair["a"]), names.index(pair["b"])))
        values[second, first] = np.nan if pair["cka"] is None else pair["cka"]
        dark = pair["cka"] is not None and pair["cka"] < 0.6
        text = f"{number(pair['cka'])}\n{number(pair['low'])} to\n{number(pair['high'])}"
        axes.text(first, second, text, ha="center", va="center", fontsize=SMALL - 2, color="white" if dark else "black")
    axes.imshow(values[1:, :-1], cmap="cividis", vmin=0, vmax=1, extent=(-0.5, len(names) - 1.5, len(names) - 0.5, 0.5))
    letters = [ascii_uppercase[index % 26] for index in range(len(names))]
    axes.set_xticks(range(len(names) - 1), letters[:-1])
    axes.set_yticks(range(1, len(names)), letters[1:])
    axes.set_xlim(-0.5, max(3, len(names) - 1) - 0.5)
    axes.set_ylim(max(3, len(names) - 1) + 0.5, 0.5)
    plain_axes(axes, "", "", "CKA between trained models,\nfeatures of their last block")
    axes.title.set_fontsize(SMALL)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def _legend(figure: Figure, models: Sequence[Mapping[str, Any]], level: str) -> None:
    wide = figure.get_figwidth() > 5
    marks = [
        Line2D([], [], color="black", marker="o", markersize=MARK, linewidth=1, label=f"CKA, {level} over patients")
    ]
    marks += [
        Line2D([], [], color=colour, marker=marker, markersize=MARK, linestyle="", label=title)
        for _, title, marker, colour in KINDS
    ]
    if any(block.get("over_seeds") for model in models for block in model["blocks"]):
        marks.append(Line2D([], [], color=GREY, alpha=0.4, linewidth=5, label=f"{level} over seeds"))
    hollow = "hollow: exactly unchanged"
    marks.append(
        Line2D([], [], color="black", marker="o", markersize=MARK, markerfacecolor=HOLLOW, linestyle="", label=hollow)
    )
    title = "Blocks from input to output. CKA 1: the same features up to rotation and scale; CKA 0: unrelated features."
    figure.legend(
        handles=marks, loc="outside lower center", ncols=3 if wide else 2, fontsize=SMALL - 1, frameon=False,
        title=title if wide else folded(title, 52), title_fontsize=SMALL - 1,
    )  # fmt: skip


def _write(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=SMALL - 1, color=GREY)


def _short(names: Sequence[str]) -> list[str]:
    """The names of the blocks without their common first part.

    >>> _short(["features.conv0", "features.denseblock1"])
    ['conv0', 'denseblock1']
    """
    inner = [name.partition(".")[2] for name in names]
    one_prefix = len({name.partition(".")[0] for name in names}) == 1
    clear = all(inner) and not any(name[:1].isdigit() for name in inner)
    return inner if one_prefix and clear else list(names)
