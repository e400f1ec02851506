"""The published schemas are the code's: they take every study that the program takes, and refuse what is misspelt."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from cxrlens.data.sources import SOURCES
from cxrlens.errors import UserError
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.study import Study

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.toml"))
PRETRAININGS = sorted((ROOT / "studies" / "pretraining").glob("*.toml"))
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MINIMAL: dict[str, Any] = {"name": "s", "data": {"source": "phantom"}, "models": [{"name": "m"}]}
PRETRAINING: dict[str, Any] = {
    "name": "w",
    "backbone": {"name": "benchmark_cnn"},
    "data": [{"name": "a", "source": "image_folder", "findings": ["label"]}],
}


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("study_schema", ROOT / "tools" / "study_schema.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(name: str) -> Any:
    return json.loads((ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8"))


def faults(name: str, tables: Any) -> list[str]:
    return [f"{each.json_path}: {each.message}" for each in Draft7Validator(published(name)).iter_errors(tables)]


@pytest.mark.parametrize("name", ["study", "pretraining"])
def test_the_schema_is_what_the_code_says(tool: Any, name: str) -> None:
    text = (ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert text == tool.text(tool.FILES[f"{name}.schema.json"]()), "python tools/study_schema.py writes docs/ anew"
    Draft7Validator.check_schema(published(name))
    refs = set(re.findall(r'"\$ref": "(.*)"', text))
    assert refs and all(re.fullmatch(r"#/definitions/\w+", each) for each in refs)  # a space is no part of a URI


@pytest.mark.parametrize("path", [*STUDIES, *PRETRAININGS], ids=lambda path: path.stem)
def test_every_shipped_file_fits_its_schema_also_with_all_its_defaults_written_out(path: Path) -> None:
    name, kind = ("pretraining", PretrainStudy) if path in PRETRAININGS else ("study", Study)
    assert faults(name, tomllib.loads(path.read_text(encoding="utf-8"))) == []
    assert faults(name, tomllib.loads(kind.load(path).to_toml())) == []


@pytest.mark.parametrize("path", [*STUDIES, *PRETRAININGS], ids=lambda path: path.stem)
def test_every_shipped_file_names_its_schema_in_its_first_line(path: Path) -> None:
    first, _, _ = path.read_text(encoding="utf-8").partition("\n")
    assert first.startswith("#:schema ")
    expected = "pretraining" if path in PRETRAININGS else "study"
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == ROOT / "docs" / f"{expected}.schema.json"


def test_every_file_and_every_part_of_one_in_the_docs_fits() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    texts = [block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    tables = [tomllib.loads(text) for text in texts]
    pretrainings = [each for each in tables if "backbone" in each]
    studies = [MINIMAL | each for each in tables if each and each not in pretrainings]
    assert len(studies) >= 15 and len(pretrainings) >= 1
    for each in studies:
        assert Study.of(each) and faults("study", each) == []
    for each in pretrainings:
        assert PretrainStudy.of(each) and faults("pretraining", each) == []


def at(*keys: str | int, value: object) -> Callable[[Any], None]:
    def change(tables: Any) -> None:
        for key in keys[:-1]:
            tables = tables.setdefault(key, {}) if isinstance(tables, dict) else tables[key]
        tables[keys[-1]] = value

    return change


WRONG = {
    "a key at the top": at("nmae", value="s"),
    "a table": at("imagse", value={"size": 224}),
    "a key of a table": at("images", "sise", value=224),
    "a key of a row": at("models", 0, "bakcbone", value="x"),
    "a key of [training]": at("training", "epcohs", value=3),
    "a key of the source": at("data", "patients_", value=3),
    "a key of another source": at("data", "table", value="a.csv"),
    "no such source": at("data", "source", value="cvs_table"),
    "a probe": at("audit", "options", value={"cornres": {}}),
    "a key of a probe": at("audit", "options", value={"corners": {"widht": 0.2}}),
    "a method": at("explain", "methods", value=["gradcma"]),
    "a preset": at("explain", "preset", value="modren"),
    "a size too small": at("images", "size", value=16),
    "a size of a row too large": at("models", 0, "size", value=4096),
    "a word where a number is": at("training", "epochs", value="many"),
    "a choice": at("split", "kind", value="patients"),
    "no models": at("models", value=[]),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_is_misspelt_in_a_study_fails_in_the_schema_as_in_the_program(change: Callable[[Any], None]) -> None:
    tables = copy.deepcopy(MINIMAL)
    assert faults("study", tables) == []
    change(tables)
    assert faults("study", tables) != []
    with pytest.raises(UserError):
        Study.of(tables)


@pytest.mark.parametrize(
    "change",
    [
        at("teahcer", value={"name": "x"}),
        at("data", 0, "finding", value=["label"]),
        at("data", 0, "table", value="a.csv"),
        at("card", "license", value="MIT"),
    ],
)
def test_what_is_misspelt_in_a_pretraining_fails_too(change: Callable[[Any], None]) -> None:
    tables = copy.deepcopy(PRETRAINING)
    assert PretrainStudy.of(tables) and faults("pretraining", tables) == []
    change(tables)
    assert faults("pretraining", tables) != []
    with pytest.raises(UserError):
        PretrainStudy.of(tables)


def test_what_the_program_takes_beside_the_plain_type_fits_too() -> None:
    table = {"source": "csv_table", "table": "a.csv", "positive": [1, "yes", True], "negative": "rest"}
    training = {"epochs": 3, "size": "weights", "trained": ["layer4"], "steps": 20}
    tables = {**MINIMAL, "data": table, "training": training, "augment": {"zoom": [0.9, 1.1]}}
    assert Study.of(tables) and faults("study", tables) == []
    sets = [PRETRAINING["data"][0] | {"findings": {"pneumonia": "label"}}]
    assert faults("pretraining", PRETRAINING | {"data": sets}) == []


def test_every_source_has_a_branch_of_its_own() -> None:
    assert len(published("study")["properties"]["data"]["oneOf"]) == len(list(SOURCES))
