"""The report's tables as files: CSV in full, Markdown and LaTeX as they are printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens.files import write_text
from cxrlens.report.results_text import estimate
from cxrlens.report.tables import Cells, comparison_cells, comparisons_table, markdown_table, table1, table1_cells
from cxrlens.text import number, probability

# Behind an AUC: the threshold chosen on training images, calibration, and the same by sex, age, view and source.

RATES = ("sensitivity", "sensitivity_low", "sensitivity_high", "specificity", "specificity_low", "specificity_high")


def operating_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """A row a model, NaN where unknown, intervals by patients.

    Columns: model, threshold (a probability), sensitivity and specificity at it with `_low` and `_high`, calibration's
    intercept, slope and brier.
    """
    rows = [
        [model["name"], model["threshold"]["value"], *(model["threshold"][name] for name in RATES)]
        + [model["calibration"][name] for name in ("intercept", "slope", "brier")]
        for model in results["models"]
    ]
    columns = ["model", "threshold", *RATES, "intercept", "slope", "brier"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).astype(dict.fromkeys(columns[1:], float))


def subgroups_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """A row a model and group of validation images, NaN where `reason` says why.

    Columns: model, by, group, images, patients, positive, negative, auc, auc_low, auc_high, sensitivity and specificity
    with `_low` and `_high`, rough (5 to 9 patients of a class), reason.
    """
    counts = ["by", "group", "images", "patients", "positive", "negative"]
    values = ["auc", "auc_low", "auc_high", *RATES]
    rows = [
        [model["name"], *(row[name] for name in (*counts, *values)), row.get("rough"), row["reason"]]
        for model in results["models"]
        for row in model["subgroups"]
    ]
    table = pd.DataFrame(rows, columns=pd.Index(["model", *counts, *values, "rough", "reason"]))
    return table.astype(dict.fromkeys(values, float))


def details_markdown(results: Mapping[str, Any]) -> str:
    """Both tables as Markdown; a group too small for an AUC shows its counts and a dash."""
    parts = ["## At a threshold chosen on training images", markdown_table(*operating_cells(results)), "## By group"]
    return "\n\n".join([*parts, markdown_table(*subgroup_cells(results))]) + "\n"


def operating_cells(results: Mapping[str, Any]) -> Cells:
    """A row a model, as text: its threshold, the rates there, its calibration."""
    head = ["model", "threshold", "sensitivity", "specificity", "calibration intercept", "slope", "Brier"]
    rows = []
    for model in results["models"]:
        at, calibration = model["threshold"], model["calibration"]
        fitted = [number(calibration[name], 3) for name in ("intercept", "slope", "brier")]
        rows.append(
            [model["name"], probability(at["value"]), rate(at, "sensitivity"), rate(at, "specificity"), *fitted]
        )
    return head, rows


def subgroup_cells(results: Mapping[str, Any]) -> Cells:
    """A row a model and group, as text."""
    head = ["model", "group", "images", "positive", "negative", "AUC", "sensitivity", "specificity"]
    rows = []
    for model in results["models"]:
        for row in model["subgroups"]:
            counts = [str(row[name]) for name in ("images", "positive", "negative")]
            rates = [rate(row, name) for name in ("auc", "sensitivity", "specificity")]
            rows.append([model["name"], f"{row['by']}: {row['group']}", *counts, *rates])
    return head, rows


def rate(row: Mapping[str, Any], name: str) -> str:
    """A value with its interval by patients; a dash where it is unknown."""
    return estimate(row, name, 2)


TABLES = {  # a file's name → the table in numbers, and in words
    "table1": (table1, table1_cells),
    "comparisons": (comparisons_table, comparison_cells),
    "subgroups": (subgroups_table, subgroup_cells),
    "operating_points": (operating_table, operating_cells),
}
# What LaTeX would run, and what the usual encoding of its fonts prints as another sign.
SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "–": "--", "—": "---", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$",
    "“": "``", "”": "''", "‘": "`", "’": "'", "…": r"\ldots{}", "→": r"$\to$",
}  # fmt: skip


def write_tables(folder: Path, results: Mapping[str, Any]) -> None:
    """Writes each table into a folder under its name: `.csv`, `.md` and `.tex`.

    Args:
        folder: made where it is not there.
        results: `results.json`; a table without rows is not written.

    Raises:
        UserError: the folder cannot be written.
    """
    for name, text in table_files(results).items():
        write_text(folder / name, text)


def table_files(results: Mapping[str, Any]) -> dict[str, str]:
    """File's name → its text."""
    files = {}
    for name, (numbers, words) in TABLES.items():
        table = numbers(results)
        if len(table):
            cells = words(results)
            files[f"{name}.csv"] = table.to_csv(index=False, lineterminator="\n")
            files[f"{name}.md"] = markdown_table(*cells) + "\n"
            files[f"{name}.tex"] = latex_table(*cells)
    return files


def latex_table(header: list[str], rows: list[list[str]]) -> str:
    r"""A table for `\input`, with booktabs' rules; its first column to the left and the others to the right.

    >>> print(latex_table(["model", "AUC [95%]"], [["a_b", "0.816 [0.70, 0.89]"]]), end="")
    % needs \usepackage{booktabs}
    \begin{tabular}{lr}
    \toprule
    model & AUC [95\%] \\
    \midrule
    a\_b & 0.816 [0.70, 0.89] \\
    \bottomrule
    \end{tabular}
    """
    lines = [
        r"% needs \usepackage{booktabs}", rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule",
        _row(header), r"\midrule", *map(_row, rows), r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    r"""Text as LaTeX prints it, on one line.

    >>> latex_text("-0.05 of 5% & more_or_less")
    '$-$0.05 of 5\\% \\& more\\_or\\_less'
    """
    said = "".join(SIGNS.get(sign, sign) for sign in " ".join(text.split()))
    return re.sub(r"(?<![\w.\]})-])-(?=\d)", "$-$", said)  # a minus, not a hyphen


def _row(cells: list[str]) -> str:
    said = " & ".join(map(latex_text, cells))
    return ("{}" if said.startswith(("[", "*")) else "") + said + r" \\"  # after "\\" these would be its options
