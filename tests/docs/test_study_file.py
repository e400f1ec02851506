"""The page of every key of a study file says what the code says."""

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


def test_the_page_is_what_the_code_says(tool: Any) -> None:
    page = (ROOT / "docs" / "study-file.md").read_text(encoding="utf-8")
    assert page == tool.page(), "python tools/study_file.py writes docs/study-file.md anew"


def test_every_key_has_its_words_and_no_word_is_of_the_code(tool: Any) -> None:
    rows = [line for line in tool.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 90 and not [row for row in rows if row.endswith("|  |") or "see `" in row]
