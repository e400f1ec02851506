"""Writes docs/study.schema.json and docs/pretraining.schema.json, by which an editor completes and checks the files.

They are made from the classes that read the files: pydantic gives the keys and their types, `Attributes:` of each class
what a key does, the registries the names of sources, methods, presets, heads and probes. JSON Schema draft 7 is what
editors of TOML know. TOML has no null, so a key that may be absent is of its type or is not there. What spans several
keys (names that must differ, draws enough for a level) is checked by the program alone. `tests/docs` compares.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cxrlens.audit.probes import PROBES
from cxrlens.config import Config
from cxrlens.data.finding_sets import FindingSet
from cxrlens.data.sources import SOURCES
from cxrlens.explain.activation_maximization import PRESETS
from cxrlens.explain.base import DISPLAYS
from cxrlens.explain.methods import METHODS
from cxrlens.models.heads import HEADS
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.study import ModelRow, Study

DOCS = Path(__file__).parents[1] / "docs"
DRAFT = "http://json-schema.org/draft-07/schema#"
Schema = dict[str, Any]


def study_schema() -> Schema:
    """The schema of a study file."""
    schema = _schema(Study)
    tables = schema["definitions"]
    shared = _table(ModelRow)
    del shared["properties"]["name"], shared["required"]
    shared["description"] = "Keys of [[models]] that apply to every model that does not set them itself."
    tables |= {"Training": shared, **{f"source_{name}": _source(name) for name in SOURCES}}
    properties = schema["properties"]
    properties["data"] = _one_of("source") | {"description": "the source and its options."}
    properties["training"] = {"$ref": "#/definitions/Training"}
    for row in (tables["ModelRow"], shared):
        row["properties"]["head"] |= {"enum": list(HEADS)}
    for table, name in (("ExplainOptions", "methods"), ("AuditOptions", "methods")):
        tables[table]["properties"][name]["items"] = {"enum": list(METHODS)}
    tables["ExplainOptions"]["properties"]["preset"] |= {"enum": list(PRESETS)}
    tables["ExplainOptions"]["properties"]["display"] |= {"enum": list(DISPLAYS)}
    probes = {name: _table(PROBES[name]) for name in PROBES}
    tables["AuditOptions"]["properties"]["options"] |= {"properties": probes, "additionalProperties": False}
    return schema


def pretraining_schema() -> Schema:
    """The schema of a pretraining file: `[[data]]` holds a set's own keys and those of its source."""
    schema = _schema(PretrainStudy)
    own = _table(FindingSet)
    del own["properties"]["source"]
    for name in SOURCES:
        table = _source(name)
        table["properties"] = {**table["properties"], **copy.deepcopy(own["properties"])}
        table["required"] = list(dict.fromkeys(["name", *table["required"]]))
        schema["definitions"][f"set_{name}"] = table
    del schema["definitions"]["FindingSet"]
    schema["properties"]["data"]["items"] = _one_of("set")
    return schema


def said(kind: type[BaseModel]) -> dict[str, str]:
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


def _schema(kind: type[Config]) -> Schema:
    """A whole file's schema with the tables of its tables as `definitions`."""
    raw = kind.model_json_schema(ref_template="#/definitions/{model}")
    definitions = {name: _toml(table) for name, table in raw.pop("$defs").items() if name != "Source"}
    for each in _kinds(kind):
        _say(definitions[each.__name__], each)
    whole = _say(_toml(raw), kind)
    return {"$schema": DRAFT, "title": f"cxrlens {kind.__name__}", **whole, "definitions": definitions}


def _table(kind: type[BaseModel]) -> Schema:
    """The schema of one table; a table inside it is among the definitions of the whole file."""
    raw = kind.model_json_schema(ref_template="#/definitions/{model}")
    raw.pop("$defs", None)
    return _say(_toml(raw), kind)


def _source(name: str) -> Schema:
    table = _table(SOURCES[name])
    table["properties"] = {"source": {"enum": [name], "description": "what lists the images."}, **table["properties"]}
    return table | {"required": ["source", *table.get("required", [])]}


def _one_of(prefix: str) -> Schema:
    """A table whose `source` says which of the definitions it follows; the names stand apart for a plain message."""
    return {
        "type": "object",
        "properties": {"source": {"enum": list(SOURCES), "description": "what lists the images."}},
        "required": ["source"],
        "oneOf": [{"$ref": f"#/definitions/{prefix}_{name}"} for name in SOURCES],
    }


def _kinds(kind: type[BaseModel]) -> list[type[BaseModel]]:
    """Every class of a table below `kind` that pydantic defines on its own, sources left out."""
    found: dict[str, type[BaseModel]] = {}

    def look(annotation: Any) -> None:
        table = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        if table and annotation.__name__ not in {*found, "Source"}:
            found[annotation.__name__] = annotation
            for field in annotation.model_fields.values():
                look(field.annotation)
        for part in getattr(annotation, "__args__", ()):
            look(part)

    for field in kind.model_fields.values():
        look(field.annotation)
    return list(found.values())


def _say(table: Schema, kind: type[BaseModel]) -> Schema:
    """Puts what each key does beside its type."""
    words = said(kind)
    for key, value in table["properties"].items():
        if key in words:
            value["description"] = words[key]
    table["description"] = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return table


def _toml(node: Any, keys: bool = False) -> Any:
    """A part of pydantic's schema in draft 7 and without null; `keys`: the part's own keys are a table's."""
    if isinstance(node, list):
        return [_toml(each) for each in node]
    if not isinstance(node, dict):
        return node
    if keys:
        return {key: _toml(value) for key, value in node.items()}
    found = {key: _toml(value, key == "properties") for key, value in node.items() if key != "title"}
    if found.get("default", 0) is None or isinstance(found.get("default"), dict):
        del found["default"]
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "anyOf" in found:
        found["anyOf"] = [each for each in found["anyOf"] if each != {"type": "null"}]
        if len(found["anyOf"]) == 1:
            found |= found.pop("anyOf")[0]
    return found


def text(schema: Schema) -> str:
    """A schema as its file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


FILES = {"study.schema.json": study_schema, "pretraining.schema.json": pretraining_schema}

if __name__ == "__main__":
    for name, make in FILES.items():
        (DOCS / name).write_text(text(make()), encoding="utf-8")
