"""The study file: whole, frozen, and clear about what it doesn't know."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cxrlens.errors import UserError
from cxrlens.pretrain_study import PretrainStudy
from cxrlens.study import Study, folder_name

STUDIES = Path(__file__).parents[1] / "studies"
SHIPPED = sorted(STUDIES.glob("*.toml"))
PRETRAININGS = sorted((STUDIES / "pretraining").glob("*.toml"))


def study(**changes) -> Study:
    raw = {"name": "a study", "data": {"source": "phantom"}, "models": [{"name": "a row"}]}
    return Study.of({**raw, **changes})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_loads_and_survives_being_written(path: Path, tmp_path: Path) -> None:
    loaded = Study.load(path)
    (tmp_path / "again.toml").write_text(loaded.to_toml())
    assert Study.load(tmp_path / "again.toml") == loaded


def test_the_papers_study_is_the_papers() -> None:
    paper = Study.load(next(path for path in SHIPPED if path.stem == "paper"))
    rows = [row for row in paper.models if row.paper]
    assert [row.paper.auc for row in rows] == [0.672, 0.677, 0.721, 0.725, 0.816]
    assert {(row.paper.positives, row.paper.negatives) for row in rows} == {(79, 17)}
    assert [(row.batch, row.epochs, row.steps_an_epoch(193)) for row in rows] == [
        (16, 12, 13), (16, 5, 125), (16, 12, 125), (16, 24, 125), (1, 24, 200),
    ]  # fmt: skip
    assert {row.preprocessing for row in rows} == {"unit"} and {row.learning_rate for row in rows} == {1e-3}
    assert paper.split.kind == "paper" and paper.augment.brightness == (0.5, 1.2) and paper.augment.horizontal_flip


def test_what_all_models_share_is_said_once() -> None:
    shared = study(training={"batch": 4}, models=[{"name": "a"}, {"name": "b", "batch": 8}])
    assert [row.batch for row in shared.models] == [4, 8]


def test_a_size_is_a_number_or_that_of_the_weights_and_survives_being_written() -> None:
    assert (study().images.size, study().models[0].size, study().images.reference) == (224, None, 224)
    sized = study(images={"size": "weights"}, models=[{"name": "a", "size": 160}, {"name": "b", "size": "weights"}])
    assert [row.size for row in sized.models] == [160, "weights"] and sized.images.reference == 224
    assert Study.of(tomllib.loads(sized.to_toml())) == sized
    assert study(images={"size": 96}).images.reference == 96


def test_a_study_is_frozen() -> None:
    with pytest.raises(ValidationError):
        study().name = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": []}, "unknown key 'model'; did you mean 'models'"),
        ({"images": {"sise": 64}}, "unknown key in images 'sise'; did you mean 'size'"),
        ({"models": [{"name": "a", "backbon": "x"}]}, "did you mean 'backbone'"),
        ({"models": [{"name": "a", "epochs": 0}]}, r"\[\[models\]\] 1 \(a\): epochs: .*got 0$"),
        ({"training": {"bacth": 4}}, r"unknown key in \[training\] 'bacth'; did you mean 'batch'"),
        ({"data": {"source": "csv_table"}}, "table is needed"),
        ({"data": {"source": "fantom"}}, "did you mean 'phantom'"),
        ({"data": {"source": "phantom", "patient": 3}}, "did you mean 'patients'"),
        ({"data": {}}, r"\[data\] needs source = NAME"),
        ({"models": []}, "models"),
        ({"models": [{"name": "a"}, {"name": "a"}]}, "'a' is given twice"),
        ({"models": [{"name": "a"}, {"name": "A"}]}, "'a' and 'A' would share 'a'"),
        ({"models": [{"name": "a\x1b[2J"}]}, r"one line of visible characters; got 'a\\x1b"),
        ({"seeds": [1, 1]}, "seeds are different whole numbers"),
        ({"images": {"size": 8}}, r"images\.size: .*from 32 to 1024, or 'weights'.*got 8"),
        ({"images": {"size": True}}, r"images\.size: .*got True"),
        ({"models": [{"name": "a", "size": "weight"}]}, r"\[\[models\]\] 1 \(a\): size: .*got 'weight'$"),
        ({"models": [{"name": "a", "size": 1025}]}, "got 1025"),
        ({"models": [{"name": "a", "trained": 3}]}, r"\(a\): trained: Input should be 'head' or 'all'; got 3"),
        ({"split": {"kind": "random"}}, r"split\.kind"),
        ({"models": [{"name": "a", "paper": {"auc": 0.7, "positives": 79}}]}, "are given together"),
        ({"models": [{"name": "a", "paper": {"auc": 70}}]}, r"paper\.auc: .*got 70$"),
        ({"models": [{"name": "a", "paper": {"auc": 0.7, "positives": 1, "negatives": 9}}]}, r"positives: .*got 1$"),
        (
            {"models": [{"name": "a", "paper_auc": 0.672}]},
            r"unknown key 'paper_auc'; write paper = \{ auc = 0\.672",
        ),
        ({"training": {"paper_auc": 0.6}}, r"in \[training\] 'paper_auc'; write paper = .*auc = 0\.6, positives = 79"),
    ],
)
def test_a_fault_names_the_key_and_what_was_meant(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(**changes)


def test_a_file_that_is_no_study_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the file"):
        Study.load(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_text("name = \n")
    with pytest.raises(UserError, match=r"not valid TOML.*line 1"):
        Study.load(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        Study.load(tmp_path / "bytes.toml")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "con", "…", "é ü"])
def test_a_models_folder_never_leaves_its_place(name: str) -> None:
    assert folder_name(name) not in ("", ".", "..") and "/" not in folder_name(name)


def test_a_row_in_another_ones_place_names_a_row() -> None:
    rows = [{"name": "CheXNet"}, {"name": "ours", "instead_of": "CheXNet"}]
    assert Study.of({"name": "x", "data": {"source": "phantom"}, "models": rows}).models[1].instead_of
    for wrong in ("CheXNett", "ours"):
        rows[1]["instead_of"] = wrong
        with pytest.raises(UserError, match="ours: instead_of: unknown model"):
            Study.of({"name": "x", "data": {"source": "phantom"}, "models": rows})


@pytest.mark.parametrize("path", PRETRAININGS, ids=lambda path: path.stem)
def test_every_shipped_pretraining_loads_and_is_no_study(path: Path) -> None:
    assert PretrainStudy.load(path).name == path.stem
    with pytest.raises(UserError, match="run it with `cxrlens pretrain`"):
        Study.load(path)


WRONG = (1, -1.5, "", "../x", True, [], [[1]], {}, {"a": {"b": 1}}, [{}], float("inf"), float("nan"))


@pytest.mark.parametrize("kind", [Study, PretrainStudy])
def test_a_value_of_any_wrong_type_anywhere_is_a_sentence_never_a_traceback(kind: Any) -> None:
    root = Path(__file__).parents[1] / "studies"
    file = root / "demo.toml" if kind is Study else root / "pretraining" / "efficientnet-lite0-cxr.toml"
    raw = tomllib.loads(file.read_text(encoding="utf-8"))
    refused = 0
    for place in places(raw):
        for value in WRONG:
            changed = copy.deepcopy(raw)
            inner = changed
            for part in place[:-1]:
                inner = inner[part]
            inner[place[-1]] = value
            try:
                kind.of(changed, "the file")
            except UserError as error:
                assert str(error).strip()
                refused += 1
    assert refused > 100


def places(raw: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    result = [(*above, key) for key, _ in items]
    items = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [*result, *(place for key, value in items for place in places(value, (*above, key)))]
