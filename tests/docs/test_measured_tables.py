"""Tables of measured values in the docs say what the benchmarks' files say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLUMNS = (
    "coverage", "coverage_bootstrap", "coverage_delong", "coverage_proc", "size", "size_bootstrap", "size_delong",
)  # fmt: skip

OF_DIFFERENCES = ("coverage_difference", "coverage_difference_bootstrap", "coverage_difference_delong", "power")


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def test_the_table_of_interval_coverage_is_that_of_the_simulation() -> None:
    measured = json.loads((ROOT / "benchmarks" / "interval_coverage.json").read_text(encoding="utf-8"))
    cases = {row["case"]: row for row in measured}
    lines = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    table = {row[0]: row[1:] for row in cells if row[0].removesuffix(" *") in cases}
    assert len(table) >= 41
    for case, values in table.items():
        row = cases[case.removesuffix(" *")]
        if len(values) == len(COLUMNS):
            assert case.endswith("*") == row["held_out"], case
            assert values == [_text(row[column]) for column in COLUMNS], case
        else:
            of_others = [row["coverage"], None, None, row["power"]]
            expected = [row[column] for column in OF_DIFFERENCES] if "coverage_difference" in row else of_others
            assert values == [_text(value) for value in expected], case


def test_the_goal_of_interval_coverage_is_met_in_every_case_that_was_set_in_advance() -> None:
    measured = json.loads((ROOT / "benchmarks" / "interval_coverage.json").read_text(encoding="utf-8"))
    in_advance = [row for row in measured if not row["held_out"]]
    assert len(in_advance) == 18 and all(row["cohorts"] >= 2000 for row in in_advance)
    for row in in_advance:
        few = row["case"].startswith("8/8")
        assert (0.93 if few else 0.94) <= row["coverage"] <= (0.98 if few else 0.97), row["case"]
        assert row["size"] <= (0.06 if few else 0.055), row["case"]


def test_the_table_of_the_audits_alarms_is_that_of_the_benchmark() -> None:
    rows = list(csv.DictReader((ROOT / "benchmarks" / "audit_controls.csv").read_text(encoding="utf-8").splitlines()))
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8").partition("| alarms of 72 |")[2]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    table = [row for row in cells if len(row) == 5 and row[3].isdigit()]
    assert [row["data sets"] for row in rows] == ["72"] * 9 and len(table) == 9
    for measured, row in zip(rows, table, strict=True):
        share = f"{100 * float(measured['share']):.0f}%" if float(measured["share"]) else ""
        assert [row[1], float(row[2]), row[3]] == [share, float(measured["strength"]), measured["alarms"]], row
        rate = 100 * int(measured["alarms"]) / 72
        assert row[4].startswith("100% [" if rate == 100 else f"{rate:.1f}% ["), row
