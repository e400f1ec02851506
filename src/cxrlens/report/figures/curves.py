"""The figures of the results: ROC and precision-recall curves, calibration, training curves, and the AUC forest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cxrlens.drawing import labelled
from cxrlens.errors import UserError
from cxrlens.evaluate.records import Evaluation
from cxrlens.report.figures.style import (
    COLOURS,
    GREY,
    NORMAL,
    PALE,
    SMALL,
    folded,
    line_of,
    new_figure,
    panel_columns,
    plain_axes,
)
from cxrlens.report.published import paper_interval
from cxrlens.report.results_text import as_results, counts, estimate, percent
from cxrlens.text import interval, number


def roc_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """The ROC curves of all models; the legend has each AUC with its interval by patients."""
    plain = as_results(results)
    figure, axes = _square(sum(_name(model).count("\n") + 1 for model in plain["models"]))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="chance   0.50", zorder=0)
    for index, model in enumerate(plain["models"]):
        auc = f"{number(model['auc'])} {interval(model['auc_low'], model['auc_high'])}"
        text = labelled(f"{_name(model)}   {auc}")
        curve = model["curves"]["roc"]
        axes.plot(curve["x"], curve["y"], label=text, **line_of(index))
    plain_axes(axes, "1 - specificity", "sensitivity", counts(plain))
    _legend(axes, f"AUC [{percent(plain)} interval by patients]")
    return figure


def precision_recall_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """The precision-recall curves of all models, as steps; the legend has each average precision.

    The grey line is the precision if every image is called positive.
    """
    plain = as_results(results)
    figure, axes = _square(sum(_name(model).count("\n") + 1 for model in plain["models"]))
    for index, model in enumerate(plain["models"]):
        curves = model["curves"]
        text = labelled(f"{_name(model)}   {number(curves['average_precision'])}")
        x, y = curves["precision_recall"]["x"], curves["precision_recall"]["y"]
        axes.plot(x, y, drawstyle="steps-pre", label=text, **line_of(index))
    prevalence = plain["models"][0]["curves"]["prevalence"]
    if prevalence is not None:
        axes.axhline(prevalence, color=GREY, linewidth=0.8, label=f"every image called positive   {number(prevalence)}")
    plain_axes(axes, "recall (sensitivity)", "precision", counts(plain))
    _legend(axes, "average precision")
    return figure


def _name(model: Mapping[str, Any]) -> str:
    """A model's name for the legend, on one line unless it is very long."""
    name = folded(model["name"], 46)
    return name if name.isascii() else name + "\u200e"  # text after a right-to-left name keeps its order


def _square(lines: int) -> tuple[Figure, Axes]:
    figure = new_figure(4.6, 5.45 + 0.18 * lines)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_box_aspect(1)
    return figure, axes


def _legend(axes: Axes, title: str) -> None:
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        fontsize=SMALL,
        title=title,
        title_fontsize=SMALL,
        frameon=False,
        handlelength=3,
    )


def calibration_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """The reliability of the probabilities, a panel for each model.

    Points are the observed share of positives in each bin of probability, with Wilson's intervals. Bars are the number
    of images in the bin.
    """
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
        _reliability_panel(axes, models[index], index, first_column=index % columns == 0)
    figure.supxlabel("mean predicted probability", fontsize=SMALL + 1)
    figure.supylabel(f"observed share of positives ({percent(plain)} interval)", fontsize=SMALL + 1)
    return figure


def _reliability_panel(axes: Any, model: dict[str, Any], index: int, *, first_column: bool) -> None:
    bins, fit = model["curves"]["reliability"], model["calibration"]
    x, y = np.array([part["predicted"] for part in bins]), np.array([part["observed"] for part in bins])
    counts_of_images = np.array([part["count"] for part in bins], dtype=float)
    errors = [[share - part["low"], part["high"] - share] for share, part in zip(y, bins, strict=True)]
    errors = np.clip(np.array(errors).T, 0, None)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    if len(bins):
        axes.bar(x, 0.15 * counts_of_images / counts_of_images.max(), width=0.02, color=PALE)
        colour = COLOURS[index % len(COLOURS)]
        axes.errorbar(x, y, errors, fmt="o-", color=colour, markersize=4, linewidth=1.2, elinewidth=0.8)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    plain_axes(axes, "", "")
    axes.set_title(folded(model["name"]), fontsize=SMALL, loc="left")
    if not first_column:
        axes.tick_params(labelleft=False)
    text = f"intercept {number(fit['intercept'])}\nslope {number(fit['slope'])}\nBrier {number(fit['brier'], 3)}"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=SMALL - 1, bbox=box)


MEASURES = (("loss", "validation_loss"), ("auc", "validation_auc"))


def training_curves_figure(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Loss and AUC by epoch on train and validation set; all seeds and folds of a model share its two panels.

    Args:
        histories: title of a network, such as "vgg16-imagenet (seed 0, fold 1)" → a row for each epoch. The columns
            `epoch`, `loss`, `auc`, `validation_loss` and `validation_auc` are drawn if they exist.

    Raises:
        UserError: there is no history.
    """
    if not histories:
        raise UserError("training curves need the history of at least one network; got none")
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
            _training_panel(axes, models[name], measures)
        plain_axes(pair[0], "", "loss" if first else "", folded(name))
        plain_axes(pair[1], "epoch", "AUC" if first else "")
        pair[0].title.set_fontsize(SMALL)
        aucs.append(pair[1])
    lowest = min(axes.get_ylim()[0] for axes in aucs)
    for axes in aucs:  # AUCs of different models have a common scale, losses do not
        axes.set_ylim(lowest, 1.02)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def _training_panel(axes: Any, histories: list[pd.DataFrame], measures: tuple[str, str]) -> None:
    styles = (("training", COLOURS[0], "-"), ("validation", COLOURS[1], "--"))
    for measure, (set_name, colour, dashes) in zip(measures, styles, strict=True):
        drawn = [history for history in histories if measure in history and history[measure].notna().any()]
        for index, history in enumerate(drawn):
            epochs = history["epoch"] if "epoch" in history else range(1, len(history) + 1)
            marker = "o" if len(history) == 1 else None
            label = set_name if index == 0 else "_"
            axes.plot(
                epochs, history[measure], dashes, color=colour, marker=marker, markersize=3, linewidth=1.2,
                alpha=1.0 if len(drawn) == 1 else 0.6, label=label,
            )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if measures[0] == "auc":
        axes.set_ylim(min(0.45, axes.get_ylim()[0]), 1.02)
    else:
        axes.set_ylim(bottom=0)


def auc_forest_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """Table 1 as a forest plot: a line for each model with its AUC and the interval by patients.

    Below it in grey is the interval that includes other trainings, above it the paper's AUC as a diamond. A model that
    was not run has only the paper's AUC.
    """
    plain = as_results(results)
    rows = [*plain["models"], *plain.get("skipped", [])]
    figure = new_figure(7.2, 1.5 + 0.5 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=0, label="chance")
    used: set[str] = set()

    def once(label: str) -> str:
        """The label for its first use, so that the legend has it once; afterwards a hidden one."""
        first = label not in used
        used.add(label)
        return label if first else "_"

    for index, row in enumerate(rows):
        y = len(rows) - 1 - index
        if row.get("auc") is not None:
            if row.get("auc_train_low") is not None:
                ends = [row["auc_train_low"], row["auc_train_high"]]
                axes.plot(ends, [y - 0.14] * 2, color=GREY, linewidth=1.2, label=once("with other trainings"))
            ours = {"color": COLOURS[0], "marker": "o", "markersize": 6, "linewidth": 2.4}
            _mark(axes, row["auc"], row["auc_low"], row["auc_high"], y, once(f"{percent(plain)} by patients"), ours)
            text = estimate(row)
        else:
            text = "not run"
        axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL)
        if row.get("paper_auc") is not None:
            theirs = {"color": COLOURS[1], "marker": "D", "markersize": 5, "markerfacecolor": "white", "linewidth": 0.9}
            ends = paper_interval(row)
            label = once("the paper, 95% Hanley-McNeil" if ends else "the paper, without an interval")
            _mark(axes, row["paper_auc"], *(ends or (None, None)), y + 0.2, label, theirs)
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlim=(_lowest(rows), 1.005))
    axes.set_yticks(range(len(rows)), [folded(row["name"]) for row in reversed(rows)])
    plain_axes(axes, "AUC", "")
    figure.suptitle(counts(plain), fontsize=NORMAL)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False)
    return figure


def _mark(axes: Axes, auc: float, low: float | None, high: float | None, y: float, label: str, look: Any) -> None:
    ends = [auc if low is None else low, auc, auc if high is None else high]
    axes.plot(ends, [y] * 3, label=label, markevery=[1], **look)


def _lowest(rows: list[dict[str, Any]]) -> float:
    keys = ("auc_low", "auc_train_low")
    lows = [row[key] for row in rows for key in keys if row.get(key) is not None]
    return max(0.0, min([0.48, *(low - 0.03 for low in lows)]))
