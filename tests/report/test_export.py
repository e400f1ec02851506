"""The tables as files: whole numbers in CSV, Table 1's words in Markdown and LaTeX, and LaTeX that LaTeX takes."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest

from cxrlens.report.export import TABLES, latex_table, latex_text, table_files, write_tables
from cxrlens.report.tables import table1, table1_cells
from support.handmade_run import predictions, results

UNESCAPED = r"(?<!\\)[&%$#_{}~^]"


@pytest.fixture(scope="module")
def told() -> dict:
    made = predictions()
    return results(made.assign(model=made["model"].replace({"weak": "a_b & 50% {$x} #1 ~^\\"})))


def test_each_table_is_there_in_three_ways(told: dict, tmp_path: Path) -> None:
    write_tables(tmp_path / "tables", told)
    names = {f"{name}.{kind}" for name in TABLES for kind in ("csv", "md", "tex")}
    assert {path.name for path in (tmp_path / "tables").iterdir()} == names
    assert {name: (tmp_path / "tables" / name).read_text(encoding="utf-8") for name in names} == table_files(told)


def test_a_table_without_rows_is_not_written(told: dict) -> None:
    assert not [name for name in table_files({**told, "comparisons": []}) if name.startswith("comparisons")]


def test_csv_holds_the_numbers_in_full(told: dict) -> None:
    read = pd.read_csv(io.StringIO(table_files(told)["table1.csv"]))
    pd.testing.assert_frame_equal(read.astype(table1(told).dtypes), table1(told))


def test_latex_has_the_words_of_table_1_with_intervals(told: dict) -> None:
    text = table_files(told)["table1.tex"]
    _, rows = table1_cells(told)
    for cell in (row[3] for row in rows if row[3].startswith("0")):
        assert re.fullmatch(r"0\.\d{3} \[0\.\d\d, [01]\.\d\d\]", cell) and f" & {cell} & " in text


@pytest.mark.parametrize("name", list(TABLES))
def test_latex_is_well_formed(told: dict, name: str) -> None:
    lines = table_files(told)[f"{name}.tex"].splitlines()
    columns = re.fullmatch(r"\\begin\{tabular\}\{(l(r+))\}", lines[1])
    assert columns and lines[2] == r"\toprule" and lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    body = [line for line in lines[3:-2] if line != r"\midrule"]
    assert len(body) == len(lines) - 6
    for line in body:
        assert line.endswith(r" \\")
        cells = re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
        assert len(cells) == len(columns[1])
        for cell in cells:
            bare = re.sub(r"\\[A-Za-z]+\{\}|\$(?:[-<>|]|\\[a-z]+)\$", "", cell)
            assert not re.search(UNESCAPED, bare), cell
        assert line.replace(r"\{", "").count("{") == line.replace(r"\}", "").count("}")
        assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0


def test_each_sign_is_written_as_latex_prints_it() -> None:
    assert latex_text("50% & a_b #1 {x} $2") == r"50\% \& a\_b \#1 \{x\} \$2"
    assert latex_text("\\input~^") == r"\textbackslash{}input\textasciitilde{}\textasciicircum{}"
    assert latex_text("<0.001 – two\n  lines") == "$<$0.001 -- two lines"


def test_a_minus_is_one_and_a_hyphen_stays() -> None:
    assert latex_text("-0.02 [-0.30, 0.33]") == "$-$0.02 [$-$0.30, 0.33]"
    assert latex_text("seed-1 COVID-19 2020-01-02 a − b") == "seed-1 COVID-19 2020-01-02 a $-$ b"


def test_a_cell_that_opens_with_a_bracket_is_no_option_of_the_line_before() -> None:
    text = latex_table(["model", "x"], [["[0.1, 0.2]", "1"], ["*", "2"]])
    assert "{}[0.1, 0.2] & 1" in text and "{}* & 2" in text
