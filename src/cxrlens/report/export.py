"""The tables of the report as files: CSV with full precision, Markdown and LaTeX with rounded text."""

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

RATES = ("sensitivity", "sensitivity_low", "sensitivity_high", "specificity", "specificity_low", "specificity_high")


def operating_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """One row per model, NaN where unknown; intervals are computed by patient.

    Columns: model, threshold (a probability, chosen on training images), sensitivity and specificity at the threshold
    with `_low` and `_high`, and intercept, slope and brier of the calibration.
    """
    rows = [
        [model["name"], model["threshold"]["value"], *(model["threshold"][name] for name in RATES)]
        + [model["calibration"][name] for name in ("intercept", "slope", "brier")]
        for model in results["models"]
    ]
    columns = ["model", "threshold", *RATES, "intercept", "slope", "brier"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).astype(dict.fromkeys(columns[1:], float))


def subgroups_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """One row per model and group of validation images, NaN where `reason` says why a value is missing.

    Columns: model, by, group, images, patients, positive, negative, auc, auc_low, auc_high, sensitivity and specificity
    with `_low` and `_high`, rough (a class has 5 to 9 patients), reason.
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
    """Operating points and subgroups as Markdown. A group that is too small for an AUC has its counts and a dash."""
    parts = [
        "## Sensitivity and specificity at the threshold chosen on training images",
        markdown_table(*operating_cells(results)),
        "## Subgroups",
    ]
    return "\n\n".join([*parts, markdown_table(*subgroup_cells(results))]) + "\n"


def operating_cells(results: Mapping[str, Any]) -> Cells:
    """One row per model as text: threshold, sensitivity and specificity there, calibration."""
    head = ["model", "threshold", "sensitivity", "specificity", "calibration intercept", "slope", "Brier"]
    rows = []
    for model in results["models"]:
        threshold, calibration = model["threshold"], model["calibration"]
        fitted = [number(calibration[name], 3) for name in ("intercept", "slope", "brier")]
        rows.append(
            [
                model["name"],
                probability(threshold["value"]),
                rate(threshold, "sensitivity"),
                rate(threshold, "specificity"),
                *fitted,
            ]
        )
    return head, rows


def subgroup_cells(results: Mapping[str, Any]) -> Cells:
    """One row per model and group, as text."""
    head = ["model", "group", "images", "positive", "negative", "AUC", "sensitivity", "specificity"]
    rows = []
    for model in results["models"]:
        for row in model["subgroups"]:
            counts = [str(row[name]) for name in ("images", "positive", "negative")]
            rates = [rate(row, name) for name in ("auc", "sensitivity", "specificity")]
            rows.append([model["name"], f"{row['by']}: {row['group']}", *counts, *rates])
    return head, rows


def rate(row: Mapping[str, Any], name: str) -> str:
    """A value with its interval by patient, in two decimals; a dash if it is unknown."""
    return estimate(row, name, 2)


TABLES = {  # name of the files → the table as numbers, and as text
    "table1": (table1, table1_cells),
    "comparisons": (comparisons_table, comparison_cells),
    "subgroups": (subgroups_table, subgroup_cells),
    "operating_points": (operating_table, operating_cells),
}
# Signs with a meaning in LaTeX, and signs that the usual font encoding prints as another sign.
SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "–": "--", "—": "---", "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$",
    "“": "``", "”": "''", "‘": "`", "’": "'", "…": r"\ldots{}", "→": r"$\to$",
}  # fmt: skip


def write_tables(folder: Path, results: Mapping[str, Any]) -> None:
    """Writes each table into a folder as `.csv`, `.md` and `.tex`. A table without rows is not written.

    Args:
        folder: folder of the tables; it is created if it does not exist.
        results: content of `results.json`.

    Raises:
        UserError: the folder cannot be written.
    """
    for name, text in table_files(results).items():
        write_text(folder / name, text)


def table_files(results: Mapping[str, Any]) -> dict[str, str]:
    """The name of each file → its text."""
    files = {}
    for name, (to_table, to_cells) in TABLES.items():
        table = to_table(results)
        if len(table):
            cells = to_cells(results)
            files[f"{name}.csv"] = table.to_csv(index=False, lineterminator="\n")
            files[f"{name}.md"] = markdown_table(*cells) + "\n"
            files[f"{name}.tex"] = latex_table(*cells)
    return files


def latex_table(header: list[str], rows: list[list[str]]) -> str:
    r"""A table for `\input` with the rules of booktabs. The first column is aligned left, the others right.

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
    r"""Text on one line, escaped for LaTeX.

    >>> latex_text("-0.05 of 5% & more_or_less")
    '$-$0.05 of 5\\% \\& more\\_or\\_less'
    """
    escaped = "".join(SIGNS.get(sign, sign) for sign in " ".join(text.split()))
    return re.sub(r"(?<![\w.\]})-])-(?=\d)", "$-$", escaped)  # a minus, not a hyphen


def _row(cells: list[str]) -> str:
    row = " & ".join(map(latex_text, cells))
    # LaTeX would read "[" or "*" after the "\\" of the row above as its options.
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"
