"""The record of the benchmarks: rows are merged by name, and the page's table is that of the file."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", ROOT / "benchmarks" / "record.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_row_replaces_the_row_of_its_name_and_leaves_the_others(recorder: ModuleType, tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "RESULTS.md"
    recorder.record([{"name": "b", "ours": 2.0, "peer": 3.0, "unit": "s"}], results, page)
    recorder.record([{"name": "a", "ours": 0.123456, "unit": "s"}], results, page)
    recorder.record([{"name": "b", "ours": 1.0, "peer": 3.0, "unit": "s", "versions": {"keras": "3"}}], results, page)
    rows = json.loads(results.read_text(encoding="utf-8"))
    assert [(row["name"], row["ours"], row["peer"], row["ratio"]) for row in rows] == [
        ("a", 0.123, None, None),
        ("b", 1.0, 3.0, 3.0),
    ]
    assert all(list(row) == list(recorder.KEYS) for row in rows)
    assert rows[1]["versions"]["keras"] == "3" and {"cxrlens", "torch"} <= set(rows[0]["versions"])
    assert "1 thread of" in rows[0]["hardware"]


def test_the_table_stands_between_the_markers_and_the_rest_of_the_page_stays(
    recorder: ModuleType, tmp_path: Path
) -> None:
    results, page = tmp_path / "results.json", tmp_path / "RESULTS.md"
    page.write_text("# Results\n\nProse.\n", encoding="utf-8")
    recorder.record([{"name": "a", "ours": 2.0, "peer": 3.0, "unit": "s"}], results, page)
    page.write_text(page.read_text(encoding="utf-8") + "\n## After\n", encoding="utf-8")
    recorder.record([{"name": "a", "ours": 1.0, "peer": 3.0, "unit": "s"}], results, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Results\n\nProse.\n") and text.endswith("\n\n## After\n")
    assert text.count(recorder.START) == text.count(recorder.END) == 1
    assert "| a | 1 | 3 | s | 3 |" in text and "| a | 2 |" not in text


def test_a_section_on_other_hardware_keeps_its_own_hardware(recorder: ModuleType, tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "RESULTS.md"
    recorder.record([{"name": "a", "ours": 1.0, "unit": "s", "hardware": "NVIDIA H100"}], results, page)
    assert json.loads(results.read_text(encoding="utf-8"))[0]["hardware"] == "NVIDIA H100"
    assert "- NVIDIA H100: cxrlens " in page.read_text(encoding="utf-8")


def test_the_table_of_the_results_page_is_that_of_the_results_file(recorder: ModuleType) -> None:
    rows = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    text = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert recorder.with_table(text, rows) == text
    for row in rows:
        assert (row["ratio"] is None) == (row["peer"] is None)
        assert row["ratio"] is None or row["ratio"] == pytest.approx(row["peer"] / row["ours"], rel=0.02)
