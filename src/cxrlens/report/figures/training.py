"""How training went: loss and AUC by epoch, training and validation side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cxrlens.errors import UserError
from cxrlens.report.figures.style import COLOURS, SMALL, folded, new_figure, panel_columns, plain_axes

MEASURES = (("loss", "validation_loss"), ("auc", "validation_auc"))


def training_curves_figure(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Small panels, loss over AUC for each model; the networks of one model (its seeds and folds) share a panel.

    Args:
        histories: a network's title, such as "vgg16-imagenet (seed 0, fold 1)" → a row an epoch with `epoch`, `loss`,
            `auc`, `validation_loss`, `validation_auc` (those that are there are drawn).

    Raises:
        UserError: there is no history.
    """
    if not histories:
        raise UserError("training curves need at least one network's history; got none")
    models: dict[str, list[pd.DataFrame]] = {}
    for title, history in histories.items():
        models.setdefault(re.sub(r" \(seed \d+(, fold \d+)?\)$", "", title), []).append(history)
    columns = panel_columns(len(models))
    blocks = -(-len(models) // columns)
    figure = new_figure(max(3.4, 2.4 * columns), 3.7 * blocks + 0.3)
    aucs: list[Axes] = []
    panels = figure.subplots(2 * blocks, columns, squeeze=False)
    for index in range(blocks * columns):
        pair = panels[2 * (index // columns) : 2 * (index // columns) + 2, index % columns]
        if index >= len(models):
            for axes in pair:
                axes.remove()
            continue
        name = list(models)[index]
        first = index % columns == 0
        for axes, measures in zip(pair, MEASURES, strict=True):
            _panel(axes, models[name], measures)
        plain_axes(pair[0], "", "loss" if first else "", folded(name))
        plain_axes(pair[1], "epoch", "AUC" if first else "")
        pair[0].title.set_fontsize(SMALL)
        aucs.append(pair[1])
    lowest = min(axes.get_ylim()[0] for axes in aucs)
    for axes in aucs:  # losses of different models have no common scale, AUCs do
        axes.set_ylim(lowest, 1.02)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _panel(axes: Any, histories: list[pd.DataFrame], measures: tuple[str, str]) -> None:
    looks = (("training", COLOURS[0], "-"), ("validation", COLOURS[1], "--"))
    for measure, (side, colour, dashes) in zip(measures, looks, strict=True):
        drawn = [history for history in histories if measure in history and history[measure].notna().any()]
        for place, history in enumerate(drawn):
            epochs = history["epoch"] if "epoch" in history else range(1, len(history) + 1)
            marker = "o" if len(history) == 1 else None
            label = side if place == 0 else "_"
            axes.plot(
                epochs, history[measure], dashes, color=colour, marker=marker, markersize=3, linewidth=1.2,
                alpha=1.0 if len(drawn) == 1 else 0.6, label=label,
            )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if measures[0] == "auc":
        axes.set_ylim(min(0.45, axes.get_ylim()[0]), 1.02)
    else:
        axes.set_ylim(bottom=0)
