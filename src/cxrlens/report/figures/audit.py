"""The audit at a glance: a row a question, a column a model, the verdict as colour and sign, the number beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cxrlens.errors import UserError
from cxrlens.report.figures.style import GREY, NORMAL, SMALL, folded, interval, new_figure, number

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
