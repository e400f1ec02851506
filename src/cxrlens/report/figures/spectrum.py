"""How fine and how colourful each model's activation pictures are, over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from cxrlens.drawing import labelled
from cxrlens.report.figures.style import SMALL, folded, line_of, new_figure, plain_axes

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
