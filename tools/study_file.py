"""Writes docs/study-file.md and docs/pretraining-file.md: every key of the files, from the code that reads them.

What a key does comes from its class's `Attributes:`, so that page and code say the same; its type comes from the schema
that editors use. `tests/docs` compares them.
"""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from study_schema import pretraining_schema, said, study_schema

from cxrlens.audit.probes import PROBES
from cxrlens.config import Config
from cxrlens.data.finding_sets import FindingSet
from cxrlens.data.sources import SOURCES
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.report.tables import markdown_table
from cxrlens.study import PaperResult, Study

DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# Every key of a study file

A study file is TOML. It needs a `name`, `[data]` with its `source`, and at least one `[[models]]` with a `name`. Every
other key has a default; `studies/paper.toml` has the paper's own settings. An unknown key is an error that names the
nearest one. A run keeps a copy of its study file, `study.toml` in its folder. `[training]` may hold any key of
`[[models]]` except `name`. It then applies to every model that does not set the key itself.

This page is written by `python tools/study_file.py` from the code that reads the file. An editor completes and checks
the keys with [the schema](how-to/editor.md).
"""
PRETRAINING_HEAD = """# Every key of a pretraining file

A pretraining file is TOML, for `cxrlens pretrain`. It needs a `name`, `[backbone]` with its `name`, and at least one
`[[data]]` with its `name`, its `source`, and `findings` or `patterns`. Every other key has a default; an unknown key is
an error that names the nearest one. [Weights of your own](how-to/own-weights.md) has an example.

This page is written by `python tools/study_file.py` from the code that reads the file. An editor completes and checks
the keys with [the schema](how-to/editor.md).
"""
SET = (
    "One table for each data set. All other keys are those of its source, as in "
    "[`[data]` of a study](study-file.md#data)."
)

PAPER = "The keys of `paper` of a model, such as `paper = { auc = 0.672, positives = 79, negatives = 17 }`."


def page() -> str:
    """The page of the study file as Markdown."""
    schema = study_schema()
    tables = ["data", "models", "images", "split", "augment", "evaluation", "explain", "audit"]
    plain = [key for key in Study.model_fields if key not in tables]
    parts = [HEAD, "## At the top of the file\n", _table(Study, plain, schema)]
    for name in tables:
        if name == "data":
            parts += ["\n## `[data]`\n", "`source` names the kind of data set. The other keys depend on it.\n"]
            for source in SOURCES:
                table = schema["definitions"][f"source_{source}"]
                parts += [f'### `source = "{source}"`\n', _table(SOURCES[source], None, table), ""]
            continue
        kind = _kind(Study, name)
        title = f"[[{name}]]" if name == "models" else f"[{name}]"
        parts += [f"\n## `{title}`\n", _table(kind, None, schema["definitions"][kind.__name__])]
        if name == "models":
            parts += [f"\n### `paper`\n\n{PAPER}\n", _table(PaperResult, None, schema["definitions"]["PaperResult"])]
    probes = schema["definitions"]["AuditOptions"]["properties"]["options"]["properties"]
    for name in PROBES:
        if PROBES[name].model_fields:
            parts += [f"\n### `[audit.options.{name}]`\n", _table(PROBES[name], None, probes[name])]
    return _page(parts)


def pretraining_page() -> str:
    """The page of the pretraining file as Markdown."""
    schema = pretraining_schema()
    tables = ["backbone", "teacher", "data", "images", "augment", "training", "evaluation", "card"]
    plain = [key for key in PretrainStudy.model_fields if key not in tables]
    parts = [PRETRAINING_HEAD, "## At the top of the file\n", _table(PretrainStudy, plain, schema)]
    for name in tables:
        if name == "data":
            own = [key for key in FindingSet.model_fields if key != "source"]
            table = schema["definitions"][f"set_{next(iter(SOURCES))}"]
            parts += ["\n## `[[data]]`\n", SET, "", _table(FindingSet, own, table)]
            continue
        kind, default = _kind(PretrainStudy, name), PretrainStudy.model_fields[name].default
        table = schema["definitions"][kind.__name__]
        parts += [f"\n## `[{name}]`\n", _table(kind, None, table, default if isinstance(default, kind) else None)]
    return _page(parts)


def _page(parts: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip("\n") + "\n"


def _kind(whole: type[Config], name: str) -> type[BaseModel]:
    """The class of a file's table."""
    annotation = whole.model_fields[name].annotation
    return next(iter(typing.get_args(annotation)), annotation)


def _table(kind: type[BaseModel], keys: list[str] | None, schema: dict[str, Any], own: BaseModel | None = None) -> str:
    """A row a key; `own` holds the defaults where they are not the class's."""
    words = said(kind)
    rows = []
    for key in kind.model_fields if keys is None else keys:
        default = getattr(own, key) if own else kind.model_fields[key].get_default(call_default_factory=True)
        rows.append([f"`{key}`", type_words(schema["properties"][key]), _default(default), words.get(key, "")])
    return markdown_table(["key", "type", "default", "what it says"], rows, words=True, markup=True)


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "needed"
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def type_words(schema: dict[str, Any], many: bool = False) -> str:
    """A key's type in words.

    >>> type_words({"type": "integer", "minimum": 32, "maximum": 1024}), type_words({"enum": ["a", 1]})
    ('whole number, 32 to 1024', '`"a"` or `1`')
    """
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_words(each, many) for each in schema["anyOf"]))
    if "enum" in schema:
        *rest, last = (f"`{json.dumps(each)}`" for each in schema["enum"])
        return f"{', '.join(rest)} or {last}" if rest else last
    kind = schema.get("type", "object")
    if kind == "array" and isinstance(schema.get("items"), list):  # of one kind each, such as a range
        return f"list of {len(schema['items'])} {type_words(schema['items'][0], many=True)}"
    if kind == "array":
        return f"{'lists' if many else 'list'} of {type_words(schema['items'], many=True)}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"table of {type_words(values, many=True)}" if isinstance(values, dict) else "table"
    if kind == "boolean":
        return "`true` or `false`"
    word = {"string": "text", "integer": "whole number", "number": "number"}[kind] + ("s" if many else "")
    return ", ".join([word, *_range(schema)])


def _range(schema: dict[str, Any]) -> list[str]:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and most is not None:
        return [f"{least} to {most}"]
    said = {"at least": least, "above": above, "at most": most, "below": below}
    return [f"{word} {value}" for word, value in said.items() if value is not None]


PAGES = {"study-file.md": page, "pretraining-file.md": pretraining_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
