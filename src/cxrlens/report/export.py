"""The report's tables as files: CSV in full, Markdown and LaTeX as they are printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxrlens.files import write_text
from cxrlens.report.details import operating_cells, operating_table, subgroup_cells, subgroups_table
from cxrlens.report.tables import comparison_cells, comparisons_table, markdown_table, table1, table1_cells

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
