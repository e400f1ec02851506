"""Reliability of the probabilities, a panel a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cxrlens.evaluate.records import Evaluation
from cxrlens.report.figures.style import (
    COLOURS,
    GREY,
    PALE,
    SMALL,
    as_results,
    folded,
    new_figure,
    number,
    panel_columns,
    percent,
    plain_axes,
)


def calibration_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """Observed share of positives against the mean probability, with Wilson's intervals; bars: how many images."""
    plain = as_results(results)
    models = plain["models"]
    columns = panel_columns(len(models))
    rows = -(-len(models) // columns)
    figure = new_figure(max(3.2, 2.5 * columns), 2.95 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(panels.ravel()):
        if index >= len(models):
            axes.remove()
            continue
        _panel(axes, models[index], index, first_column=index % columns == 0)
    figure.supxlabel("mean predicted probability", fontsize=SMALL + 1)
    figure.supylabel(f"observed share of positives ({percent(plain)} interval)", fontsize=SMALL + 1)
    return figure


def _panel(axes: Any, model: dict[str, Any], index: int, *, first_column: bool) -> None:
    bins, fit = model["curves"]["reliability"], model["calibration"]
    x, y = np.array([b["predicted"] for b in bins]), np.array([b["observed"] for b in bins])
    sizes = np.array([b["count"] for b in bins], dtype=float)
    reach = np.clip(np.array([[o - b["low"], b["high"] - o] for o, b in zip(y, bins, strict=True)]).T, 0, None)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    if len(bins):
        axes.bar(x, 0.15 * sizes / sizes.max(), width=0.02, color=PALE)
        colour = COLOURS[index % len(COLOURS)]
        axes.errorbar(x, y, reach, fmt="o-", color=colour, markersize=4, linewidth=1.2, elinewidth=0.8)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    plain_axes(axes, "", "")
    axes.set_title(folded(model["name"]), fontsize=SMALL, loc="left")
    if not first_column:
        axes.tick_params(labelleft=False)
    text = f"intercept {number(fit['intercept'])}\nslope {number(fit['slope'])}\nBrier {number(fit['brier'], 3)}"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=SMALL - 1, bbox=box)
