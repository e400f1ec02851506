"""The figures of the audit: all verdicts at a glance, and the images behind flagged results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.special import expit

from cxrlens.errors import UserError
from cxrlens.names import shortened
from cxrlens.report.audit_words import SYMBOLS
from cxrlens.report.figures.style import COLOURS, GREY, NORMAL, SMALL, folded, new_figure
from cxrlens.text import interval, number

FILLS = {"flag": "#F4C7B5", "clear": "#C9E4DA", "undecided": "#EFEFEF"}
COLUMN, ROW, TITLE = 1.55, 0.36, 3.5  # inches
ORDER = (  # parts of the image, sources, patients and severity, the control, maps; other probes come last
    "corners", "text", "border_only", "lungs_removed", "lungs_only", "source_probe", "within_source",
    "leave_one_source_out", "permuted_labels", "severity", "planted_marker", "map_trust", "lung_enrichment",
)  # fmt: skip
TRUST = {"flag": "not trusted", "clear": "trusted", "undecided": "undecided"}  # several tests, so no single number


def _position(result: Mapping[str, Any]) -> int:
    """The position of a result in the figures, by its probe."""
    return ORDER.index(result["probe"]) if result["probe"] in ORDER else len(ORDER)


def audit_figure(results: Sequence[Mapping[str, Any]]) -> Figure:
    """A row for each question, a column for each model: the verdict as colour and sign, and the number beside it.

    Args:
        results: audit results of models, from `findings` of `audit.json`.

    Raises:
        UserError: there are no results.
    """
    if not results:
        raise UserError("the audit's figure needs at least one audit result of a model; got none")
    columns = list(dict.fromkeys(result["model"] for result in results))
    by_cell = {(_question(result), result["model"]): result for result in results}
    rows = list(dict.fromkeys(_question(result) for result in sorted(results, key=_position)))
    figure = new_figure(TITLE + COLUMN * len(columns), 1.2 + ROW * len(rows))
    axes = figure.add_subplot()
    for row, question in enumerate(rows):
        for column, model in enumerate(columns):
            if (question, model) in by_cell:
                _cell(axes, column, len(rows) - 1 - row, by_cell[question, model])
    titles = [folded(model, 20) for model in columns]
    axes.set(xlim=(0, len(columns)), ylim=(0, len(rows)))
    axes.set_xticks([column + 0.5 for column in range(len(columns))], titles, fontsize=SMALL)
    axes.set_yticks([len(rows) - 0.5 - row for row in range(len(rows))], [folded(question, 52) for question in rows])
    axes.tick_params(length=0, labelsize=SMALL, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    legend = "▲ flagged     ○ relevant shortcut excluded     ? undecided or not measured"
    figure.supxlabel(legend, fontsize=NORMAL)
    return figure


def _question(result: Mapping[str, Any]) -> str:
    if result["probe"] == "map_trust":
        return result["statistic"].partition(":")[0] + ": can its maps be trusted?"
    return ("Control: " if result["probe"] == "planted_marker" else "") + result["statistic"]


def _cell(axes: Axes, x: int, y: int, result: Mapping[str, Any]) -> None:
    axes.add_patch(_box(x, y, FILLS[result["verdict"]]))
    value = "not measured"
    if result["probe"] == "map_trust":
        value = TRUST[result["verdict"]]
    elif result["value"] is not None:
        value = f"{number(result['value'])} {interval(result['low'], result['high'])}".replace(" –", "")
    axes.text(x + 0.07, y + 0.5, SYMBOLS[result["verdict"]], fontsize=SMALL, va="center")
    colour = "black" if result["value"] is not None else GREY
    axes.text(x + 0.2, y + 0.5, value, fontsize=SMALL - 1, va="center", color=colour)


def _box(x: int, y: int, colour: str) -> Rectangle:
    return Rectangle((x + 0.02, y + 0.05), 0.96, 0.9, facecolor=colour, edgecolor="none")


# Flagged results: images before and after the probe removed a part, with the network's P of both.

MAX_RESULTS = 4  # results in the figure, two rows each


def evidence_figure(results: Sequence[Mapping[str, Any]], evidence: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Two rows for each result: the images as they are, and as the probe altered them, with P of both.

    Args:
        results: flagged audit results, from `findings` of `audit.json`, with `look_at` in their evidence.
        evidence: model → "PROBE before" and "PROBE after" → images, uint8 [k, size, size].

    Raises:
        UserError: no result has images.
    """
    with_images = [result for result in results if f"{result['probe']} after" in evidence.get(result["model"], {})]
    rows = _first_of_each_model(sorted(with_images, key=_position))[:MAX_RESULTS]
    if not rows:
        raise UserError("the figure of the evidence needs at least one audit result with images; got none")
    columns = max(len(result["evidence"]["look_at"]) for result in rows)
    figure = new_figure(0.6 + 1.75 * columns, 4.2 * len(rows))
    blocks = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for block, result in zip(blocks, rows, strict=True):
        arrays, probe = evidence[result["model"]], result["probe"]
        title = f"{shortened(result['model'], 60)}: {result['statistic']}, {result['value']:.2f}"
        block.suptitle(title, fontsize=NORMAL, x=0.01, ha="left")
        panels = block.subplots(2, columns, squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        for column, image in enumerate(result["evidence"]["look_at"]):
            label = "positive" if image["label"] else "negative"
            _draw(panels[0, column], arrays[f"{probe} before"][column], f"{label}, P {_p(image['before'])}")
            _draw(panels[1, column], arrays[f"{probe} after"][column], f"altered, P {_p(image['after'])}")
    return figure


def _first_of_each_model(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first result of every model, then the second of every model, and so on, so that no model is left out."""
    counts: Counter[str] = Counter()
    ranks = []
    for result in results:
        ranks.append(counts[result["model"]])
        counts[result["model"]] += 1
    return [result for _, result in sorted(zip(ranks, results, strict=True), key=lambda pair: pair[0])]


def _draw(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=SMALL, color=COLOURS[1] if title.startswith("altered") else "black", pad=2)


def _p(logit: float) -> str:
    return f"{expit(logit):.2f}"
