"""The audit at a glance: a row a question, a column a model, the verdict as colour and sign, the number beside it."""

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
from cxrlens.report.figures.style import COLOURS, GREY, NORMAL, SMALL, folded, new_figure
from cxrlens.text import interval, number

# Told apart without colour by their signs.
LOOK = {"flag": ("#F4C7B5", "▲"), "clear": ("#C9E4DA", "○"), "undecided": ("#EFEFEF", "?")}
COLUMN, ROW, TITLE = 1.55, 0.36, 3.5  # inches
ORDER = (  # parts of the image, where it comes from, patients and severity, the control, maps; others after them
    "corners", "text", "border_only", "lungs_removed", "lungs_only", "source_probe", "within_source",
    "leave_one_source_out", "permuted_labels", "severity", "planted_marker", "map_trust", "lung_enrichment",
)  # fmt: skip
TRUST = {"flag": "not trusted", "clear": "trusted", "undecided": "undecided"}  # several tests: no one number tells it


def place(finding: dict[str, Any]) -> int:
    """Where a finding stands among the others, by its probe."""
    return ORDER.index(finding["probe"]) if finding["probe"] in ORDER else len(ORDER)


def audit_figure(findings: Sequence[dict[str, Any]]) -> Figure:
    """The verdicts on every model.

    Args:
        findings: those of `audit.json` that are of a model.

    Raises:
        UserError: there is none.
    """
    if not findings:
        raise UserError("the audit's figure needs findings; got none")
    columns = list(dict.fromkeys(each["model"] for each in findings))
    of = {(_question(each), each["model"]): each for each in findings}
    rows = list(dict.fromkeys(_question(each) for each in sorted(findings, key=place)))
    figure = new_figure(TITLE + COLUMN * len(columns), 1.2 + ROW * len(rows))
    axes = figure.add_subplot()
    for row, question in enumerate(rows):
        for column, model in enumerate(columns):
            if (question, model) in of:
                _cell(axes, column, len(rows) - 1 - row, of[question, model])
    titles = [folded(model, 20) for model in columns]
    axes.set(xlim=(0, len(columns)), ylim=(0, len(rows)))
    axes.set_xticks([column + 0.5 for column in range(len(columns))], titles, fontsize=SMALL)
    axes.set_yticks([len(rows) - 0.5 - row for row in range(len(rows))], [folded(each, 52) for each in rows])
    axes.tick_params(length=0, labelsize=SMALL, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    meaning = "▲ flagged     ○ nothing worth minding     ? undecided or not measured"
    figure.supxlabel(meaning, fontsize=NORMAL)
    return figure


def _question(finding: dict[str, Any]) -> str:
    if finding["probe"] == "map_trust":
        return finding["statistic"].partition(":")[0] + ": do its maps deserve trust?"
    return ("Control: " if finding["probe"] == "planted_marker" else "") + finding["statistic"]


def _cell(axes: Axes, x: int, y: int, finding: dict[str, Any]) -> None:
    colour, sign = LOOK[finding["verdict"]]
    axes.add_patch(_box(x, y, colour))
    value = "not measured"
    if finding["probe"] == "map_trust":
        value = TRUST[finding["verdict"]]
    elif finding["value"] is not None:
        value = f"{number(finding['value'])} {interval(finding['low'], finding['high'])}".replace(" –", "")
    axes.text(x + 0.07, y + 0.5, sign, fontsize=SMALL, va="center")
    colour = "black" if finding["value"] is not None else GREY
    axes.text(x + 0.2, y + 0.5, value, fontsize=SMALL - 1, va="center", color=colour)


def _box(x: int, y: int, colour: str) -> Rectangle:
    return Rectangle((x + 0.02, y + 0.05), 0.96, 0.9, facecolor=colour, edgecolor="none")


# What the audit flagged, to look at: images before and after a part was taken out, with the network's P of both.

MOST = 4  # findings, two rows each


def evidence_figure(findings: Sequence[dict[str, Any]], seen: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Two rows a finding: the images as they are, and as the probe altered them; P of both above.

    Args:
        findings: flagged, of `audit.json`, with `look_at` in their evidence.
        seen: model → "PROBE before" and "PROBE after", uint8 [k, size, size].

    Raises:
        UserError: none of the findings has its images.
    """
    there = [each for each in findings if f"{each['probe']} after" in seen.get(each["model"], {})]
    rows = _first_of_each(sorted(there, key=place))[:MOST]
    if not rows:
        raise UserError("the evidence's figure needs findings with images; got none")
    columns = max(len(each["evidence"]["look_at"]) for each in rows)
    figure = new_figure(0.6 + 1.75 * columns, 4.2 * len(rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, finding in zip(parts, rows, strict=True):
        arrays, told = seen[finding["model"]], finding["evidence"]["look_at"]
        title = f"{shortened(finding['model'], 60)}: {finding['statistic']}, {finding['value']:.2f}"
        part.suptitle(title, fontsize=NORMAL, x=0.01, ha="left")
        axes = part.subplots(2, columns, squeeze=False)
        for each in axes.flat:
            each.set_axis_off()
        for column, image in enumerate(told):
            sign = "positive" if image["label"] else "negative"
            _draw(axes[0, column], arrays[f"{finding['probe']} before"][column], f"{sign}, P {_p(image['before'])}")
            _draw(axes[1, column], arrays[f"{finding['probe']} after"][column], f"altered, P {_p(image['after'])}")
    return figure


def _first_of_each(findings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first finding of every model, then the second of every model...: none is left out for another's third."""
    nth: Counter[str] = Counter()
    turns = []
    for each in findings:
        turns.append(nth[each["model"]])
        nth[each["model"]] += 1
    return [each for _, each in sorted(zip(turns, findings, strict=True), key=lambda pair: pair[0])]


def _draw(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=SMALL, color=COLOURS[1] if title.startswith("altered") else "black", pad=2)


def _p(logit: float) -> str:
    return f"{expit(logit):.2f}"
