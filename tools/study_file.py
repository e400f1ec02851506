"""Writes docs/study-file.md: every key of a study file with its default, from the classes that read the file.

What a key does comes from its class's `Attributes:`, so that page and code say the same. `tests/docs` compares them.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cxrlens.data.sources import SOURCES
from cxrlens.report.tables import markdown_table
from cxrlens.study import Study

PAGE = Path(__file__).parents[1] / "docs" / "study-file.md"
HEAD = """# Every key of a study file

A study file is TOML. It needs a `name`, `[data]` with its `source`, and at least one `[[models]]` with a `name`. Every
other key has a default, the paper's where the paper says; an unknown key is an error that names the nearest one. A run
keeps its study with all of them written out, in `study.toml` of its folder. `[training]` may hold any key of
`[[models]]` but its name: all rows share it, and a row's own key goes before.

This page is written by `python tools/study_file.py` from the code that reads the file.
"""


def page() -> str:
    """The page as Markdown."""
    tables = ["data", "models", "images", "split", "augment", "evaluation", "explain", "audit"]
    plain = [key for key in Study.model_fields if key not in tables]
    parts = [HEAD, "## At the top of the file\n", _table(Study, plain)]
    for name in tables:
        if name == "data":
            parts += ["\n## `[data]`\n", "`source` names what lists the images; the other keys are the source's own.\n"]
            for source in SOURCES:
                kind = SOURCES[source]
                parts += [f'### `source = "{source}"`\n', _table(kind, list(kind.model_fields)), ""]
            continue
        annotation = Study.model_fields[name].annotation
        kind = next(iter(typing.get_args(annotation)), annotation)
        title = f"[[{name}]]" if name == "models" else f"[{name}]"
        parts += [f"\n## `{title}`\n", _table(kind, list(kind.model_fields))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip("\n") + "\n"


def _table(kind: type[BaseModel], keys: list[str]) -> str:
    said = _said(kind)
    rows = [
        [f"`{key}`", _default(kind.model_fields[key].get_default(call_default_factory=True)), said.get(key, "")]
        for key in keys
    ]
    return markdown_table(["key", "default", "what it says"], rows, words=True, markup=True)


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "needed"
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _said(kind: type[BaseModel]) -> dict[str, str]:
    """Key → what `Attributes:` of its class, or of one that it comes from, says of it."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        section = re.search(
            r"^Attributes:\n((?:    .*\n|\n)*)", inspect.cleandoc(each.__doc__ or "") + "\n", re.MULTILINE
        )
        if section and issubclass(each, BaseModel):
            for key, told in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section[1], re.MULTILINE):
                words = re.sub(r"( \(see `Parameters\.\w+`\))", "", " ".join(told.split()))
                if not words.startswith("see `"):  # the class it comes from has said it
                    found[key] = re.sub(r'"[^"`]*\*[^"`]*"', r"`\g<0>`", words)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
