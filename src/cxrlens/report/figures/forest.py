"""Table 1 as a forest plot: each model's AUC with both intervals, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxrlens.evaluate.records import Evaluation
from cxrlens.report.figures.style import (
    COLOURS,
    GREY,
    NORMAL,
    SMALL,
    as_results,
    counts,
    estimate,
    folded,
    new_figure,
    percent,
    plain_axes,
)
from cxrlens.report.published import published_interval


def auc_forest_figure(results: Mapping[str, Any] | Evaluation) -> Figure:
    """A line a model: the AUC with its interval by patients, that over trainings too below in grey, the paper's as a
    diamond.

    A model that was not run has the paper's value only.
    """
    plain = as_results(results)
    rows = [*plain["models"], *plain.get("skipped", [])]
    figure = new_figure(7.2, 1.5 + 0.5 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=0, label="chance")
    seen: set[str] = set()

    def once(label: str) -> str:
        fresh = label not in seen
        seen.add(label)
        return label if fresh else "_"

    for place, row in enumerate(rows):
        y = len(rows) - 1 - place
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
        paper = published_interval(row.get("paper_auc"))
        if paper is not None:
            theirs = {"color": COLOURS[1], "marker": "D", "markersize": 5, "markerfacecolor": "white", "linewidth": 0.9}
            _mark(axes, paper.auc, paper.low, paper.high, y + 0.2, once("the paper, 95% Hanley-McNeil"), theirs)
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlim=(_least(rows), 1.005))
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


def _least(rows: list[dict[str, Any]]) -> float:
    keys = ("auc_low", "auc_train_low")
    lows = [row[key] for row in rows for key in keys if row.get(key) is not None]
    return max(0.0, min([0.48, *(low - 0.03 for low in lows)]))
