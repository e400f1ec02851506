"""The pages of every key of a study file and of a pretraining file say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("study_file", ROOT / "tools" / "study_file.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["study-file.md", "pretraining-file.md"])
def test_the_page_is_what_the_code_says(tool: Any, name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == tool.PAGES[name](), f"python tools/study_file.py writes docs/{name} anew"


@pytest.mark.parametrize(("name", "least"), [("study-file.md", 120), ("pretraining-file.md", 40)])
def test_every_key_has_its_words_and_no_word_is_of_the_code(tool: Any, name: str, least: int) -> None:
    rows = [line for line in tool.PAGES[name]().splitlines() if line.startswith("| `")]
    assert len(rows) > least and not [row for row in rows if row.endswith("|  |") or "see `" in row]


def test_a_type_is_said_in_words(tool: Any) -> None:
    assert tool.type_words({"items": {"type": "integer"}, "type": "array"}) == "list of whole numbers"
    assert tool.type_words({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["pass"]}]}) == (
        'whole number, at least 1 or `"pass"`'
    )
    assert tool.type_words({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}) == (
        "number, above 0, below 1"
    )
    assert tool.type_words({"additionalProperties": {"type": "string"}, "type": "object"}) == "table of texts"
    both = [{"exclusiveMinimum": 0, "type": "number"}] * 2
    assert tool.type_words({"items": both, "type": "array"}) == "list of 2 numbers, above 0"
