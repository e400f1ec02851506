"""ROC and precision-recall curves of all models in one square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrlens.drawing import labelled
from cxrlens.evaluate.records import Evaluation
from cxrlens.report.figures.style import (
    GREY,
    SMALL,
    as_results,
    counts,
    folded,
    interval,
    line_of,
    new_figure,
    number,
    percent,
    plain_axes,
)


def roc_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """Sensitivity against 1 - specificity; the legend holds each AUC with its interval by patients."""
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
    """Precision against recall, as steps, with each average precision; the grey line calls every image positive."""
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
    """A model's name for the legend, on one line unless it is a very long one."""
    name = folded(model["name"], 46)
    return name if name.isascii() else name + "\u200e"  # what follows a name from right to left keeps its order


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
