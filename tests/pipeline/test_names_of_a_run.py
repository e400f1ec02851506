"""Text of a run stays text: codes, and names that look like numbers or like nothing, through every file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import cxrlens
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.pipeline.predict import predict
from cxrlens.pipeline.report import read_run
from support.users_folders import folder, study

MODELS = ("18", "034", "NA", "1.0", "image")


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "image": f"img/{number:03}.png" if number else "img/null.png",
            "patient": ("007", "7", "NA", "1.0")[number % 4] + ("" if number < 4 else f"-{number}"),
            "label": number // 2 % 2, "view": ("01", "1")[number % 2],
            "source": ("1", "2")[number % 2], "site": ("00", "NA", "0")[number % 3], "ward": ("01", "1")[number % 2],
            "width": number, "sha256": "mine", "missing": "no",
        }
        for number in range(32)
    ]  # fmt: skip
    return folder(tmp_path_factory.mktemp("codes"), rows)


@pytest.fixture(scope="module")
def run(codes: Path, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    requested = study(models=[{"name": name} for name in MODELS])
    return cxrlens.run(requested, codes, out=tmp_path_factory.mktemp("run"), device="cpu")


def test_models_called_like_numbers_keep_their_predictions(run: cxrlens.Run, codes: Path) -> None:
    assert [model["name"] for model in run.results["models"]] == [*MODELS]
    assert run.predictions["model"].unique().tolist() == [*MODELS]
    table = predict(run, [codes / "img" / "null.png"], device="cpu")
    assert list(table) == ["image", "18", "034", "NA", "1.0", "model image", "problem", "warnings", "side"]
    assert table["034"].notna().all() and table["image"].iloc[0].endswith("null.png")


def test_codes_that_are_equal_as_numbers_are_groups_of_their_own(run: cxrlens.Run) -> None:
    groups = {(group["by"], group["group"]) for group in run.results["models"][0]["subgroups"]}
    assert {("view", "01"), ("view", "1"), ("source", "1"), ("source", "2")} <= groups


def test_the_cohort_comes_back_as_the_source_lists_it(run: cxrlens.Run, codes: Path) -> None:
    listed, back = run.study.data.cohort(codes).table, run.cohort
    for name in ("image", "patient", "view", "source", "site", "ward"):
        assert back[name].tolist() == listed[name].tolist(), name
    assert {"007", "7", "1.0"} <= {*back["patient"]} and "NA" not in {*back["patient"]}  # a patient NA is unknown
    assert {*back["site"]} == {"00", "NA", "0"}
    assert {*back["width"]} == {96} and back["table_width"].tolist() == listed["width"].tolist()
    assert {*back["table_sha256"]} == {"mine"} and back["missing"].isna().all()


def test_what_is_read_again_judges_as_what_was_computed(run: cxrlens.Run, codes: Path) -> None:
    options = run.study.evaluation
    training = pd.concat(
        [run.folder.read_table(path) for path in sorted(run.folder.path.rglob("train_predictions.csv"))]
    )
    listed = run.study.data.cohort(codes).table
    evaluated = evaluate(run.predictions, training, listed, options.level, MODELS)
    for output, result in zip(run.results["models"], evaluated.to_json()["models"], strict=True):
        assert {name: output[name] for name in result} == result
    assert read_run(run.folder).predictions.equals(run.predictions)
