"""The search and the contact sheet on a small phantom, through the same stages as a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer import Typer
from typer.testing import CliRunner

from cxrlens.cli.augment_search import augment_search as search_command
from cxrlens.cli.augment_search import augment_sheet as sheet_command
from cxrlens.errors import UserError
from cxrlens.evaluate.networks import COLUMNS
from cxrlens.pipeline import augment_search as stage
from cxrlens.pipeline.auc_table import auc_table
from cxrlens.pipeline.augment_search import SearchOptions, augment_search, augment_sheet
from cxrlens.pipeline.prepare import prepare
from cxrlens.progress import Silent
from cxrlens.study import Study
from cxrlens.train.augment_search import Search
from cxrlens.train.augment_search import search as real_search

TOML = """
name = "tiny"
[data]
source = "phantom"
patients = 18
size = 64
images_per_patient = [1, 2]
[split]
merge_duplicates = false
[images]
size = 32
[augment]
rotation = 4
[[models]]
name = "benchmark, no augmentation"
augment = false
epochs = 7
[[models]]
name = "benchmark"
batch = 8
epochs = 1
steps = 2
paper = { auc = 0.677 }
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _kept_images(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXRLENS_CACHE", str(cache))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(TOML)
    return file


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Search]:
    seen: list[Search] = []

    def spy(plan: Search, *rest: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        seen.append(plan)
        return real_search(plan, *rest)

    monkeypatch.setattr(stage, "search", spy)
    return seen


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture)


def test_inner_folds_never_touch_the_validation_side_and_keep_patients_apart(
    study: Path, tmp_path: Path, plans: list[Search]
):
    study.write_text(TOML.replace("patients = 18", "patients = 30"))
    loaded = Study.load(study)
    ranking = augment_search(
        loaded, None, out=tmp_path / "out", options=SearchOptions(names=("zoom",), folds=3), device="cpu"
    )
    prepared = prepare(loaded, None)
    split = prepared.splits[0]
    patient = prepared.cohort.table.set_index("image")["patient"]
    assert len(plans[0].folds) == 3
    for data, validation in plans[0].folds:
        assert {*data.images, *validation.images} == set(split.train)
        assert not set(patient[list(data.images)]) & set(patient[list(validation.images)])
    held_out = [name for _, validation in plans[0].folds for name in validation.images]
    assert sorted(held_out) == sorted(split.train)
    assert set(ranking.table["combination"]) == {"none", "zoom"}
    written = pd.read_csv(tmp_path / "out" / "augment_search.csv")
    assert written["auc"].tolist() == ranking.table["auc"].tolist()
    trials = pd.read_csv(tmp_path / "out" / "augment_trials.csv").set_index(["combination", "fold"])
    assert len(trials) == 6
    # `cxrlens auc` reads the kept predictions and gives the same numbers.
    kept = tmp_path / "out" / "augment_predictions.csv"
    expected = auc_table(kept)
    assert len(pd.read_csv(kept)) == 2 * len(split.train)
    for name, interval in expected.models.items():
        row = ranking.table.set_index("combination").loc[name]
        assert (row["auc"], row["auc_low"], row["auc_high"]) == (interval.auc, interval.low, interval.high)
        assert row["auc_train_low"] == interval.train_low
    row, (pair,) = ranking.table.set_index("combination").loc["zoom"], expected.differences
    assert (pair.a, pair.b) == ("none", "zoom")
    assert (row["low"], row["high"], row["p"]) == pytest.approx((-pair.high, -pair.low, pair.p))
    for (name, fold), part in pd.read_csv(kept).groupby(["model", "fold"]):
        assert roc_auc_score(part["label"], part["logit"]) == pytest.approx(trials.loc[(name, fold), "auc"])


def test_the_papers_way_is_one_fold_on_the_validation_side_and_says_so(
    study: Path, tmp_path: Path, plans: list[Search]
):
    loaded = Study.load(study)
    ranking = augment_search(
        loaded, None, out=tmp_path / "out", options=SearchOptions(names=("zoom",), choose_on="validation"), device="cpu"
    )
    split = prepare(loaded, None).splits[0]
    ((data, validation),) = plans[0].folds
    assert (data.images, validation.images) == (split.train, split.validation)
    assert "optimistic: chosen on the images that also evaluate it" in ranking.sentence
    assert "optimistic" in pd.read_csv(tmp_path / "out" / "augment_search.csv").loc[0, "chosen_on"]


def test_ids_of_one_patient_count_as_one(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    loaded = Study.load(study)
    prepared = prepare(loaded, None)
    train = prepared.cohort.table[prepared.cohort.table["image"].isin(list(prepared.splits[0].train))]
    ids = train.groupby("label")["patient"].unique()
    groups = {ids[label][1]: ids[label][0] for label in (0, 1)}
    monkeypatch.setattr(stage, "prepare", lambda *_: replace(prepared, groups=groups))
    out = tmp_path / "out"
    augment_search(loaded, None, out=out, options=SearchOptions(names=("zoom",), folds=2), device="cpu")
    kept = pd.read_csv(out / "augment_predictions.csv")
    assert set(kept["patient"]) == set(train["patient"]) - {*groups}
    folds_of = kept.groupby("patient")["fold"].nunique()
    assert (folds_of == 1).all()
    assert auc_table(out / "augment_predictions.csv").models["none"].patients == train["patient"].nunique() - 2


def test_too_few_patients_for_an_interval_are_said_before_training_and_after(study: Path, tmp_path: Path):
    study.write_text(TOML.replace("patients = 18", "patients = 12") + "\n[evaluation]\nlevel = 0.9\n")
    said: list[str] = []
    progress = Silent()
    progress.say = said.append
    ranking = augment_search(
        study,
        None,
        out=tmp_path / "out",
        options=SearchOptions(names=("zoom",), folds=2),
        device="cpu",
        progress=progress,
    )
    (warning,) = [sentence for sentence in said if "have an interval" in sentence]
    assert warning.startswith("warning: no AUC of this search will have an interval: an interval needs at least 5")
    assert ranking.level == 0.9
    assert ranking.table["auc"].notna().all() and ranking.table["auc_low"].isna().all()
    assert "Without interval: an interval needs at least 5 patients" in ranking.note


def test_the_studys_augmented_benchmark_row_is_trained_unless_options_say_otherwise(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plans: list[Search] = []

    def no_training(plan: Search, *rest: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        plans.append(plan)
        trials = pd.DataFrame([(name, "") for name in plan.combinations], columns=["combination", "augmentation"])
        rows = [
            (name, 0, fold, image, plan.patients[image], label, 0.5, 0.0)
            for name in plan.combinations
            for fold, (_, validation) in enumerate(plan.folds)
            for image, label in zip(validation.images, validation.labels, strict=True)
        ]
        return trials, pd.DataFrame(rows, columns=list(COLUMNS))

    monkeypatch.setattr(stage, "search", no_training)
    loaded = Study.load(study)
    augment_search(loaded, None, out=tmp_path / "a", options=SearchOptions(folds=2), device="cpu")
    assert (plans[0].training.batch, plans[0].training.epochs, plans[0].training.steps) == (8, 1, 2)
    assert (plans[0].size, plans[0].model.backbone, plans[0].seed) == (32, "benchmark_cnn", 0)
    names = list(plans[0].combinations)
    assert (names[0], names[-3:]) == ("none", ["paper", "all_six", "study"])
    augment_search(
        loaded,
        None,
        out=tmp_path / "b",
        options=SearchOptions(folds=2, epochs=3, steps=4, size=48, seed=9),
        device="cpu",
    )
    assert (plans[1].training.epochs, plans[1].training.steps, plans[1].size, plans[1].seed) == (3, 4, 48, 9)
    assert plans[1].folds[0][0].pixels([0]).shape == (1, 1, 48, 48)
    other = Study.load(study).model_copy(
        update={"models": (loaded.models[0].model_copy(update={"backbone": "resnet18"}),)}
    )
    augment_search(other, None, out=tmp_path / "c", options=SearchOptions(folds=2), device="cpu")
    assert (plans[2].training.batch, plans[2].training.epochs, plans[2].training.steps) == (16, 5, 125)
    assert plans[2].model.backbone == "benchmark_cnn"


def test_an_unknown_combination_is_an_error_before_anything_is_read(study: Path, tmp_path: Path):
    with pytest.raises(UserError, match="did you mean 'rotation'"):
        augment_search(
            Study.load(study), None, out=tmp_path / "out", options=SearchOptions(names=("rotatoin",)), device="cpu"
        )
    assert not (tmp_path / "out").exists()


def test_the_commands_print_a_table_and_write_a_sheet(study: Path, tmp_path: Path):
    app = Typer()
    app.command("augment-search")(search_command)
    app.command("augment-sheet")(sheet_command)
    study.write_text(TOML.replace("patients = 18", "patients = 30"))
    out = tmp_path / "search"
    arguments = ["augment-search", str(study), "--out", str(out), "--combination", "zoom+rotation", "--folds", "2"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cpu"], env={"COLUMNS": "150"})
    assert result.exit_code == 0, result.output
    for text in ("zoom+rotation", "none", "minus none", "inner folds of the training set", "highest AUC", "by patient"):
        assert text in result.output
    assert "AUC [95%]" in result.output and "difference [95%]" in result.output
    result = CliRunner().invoke(
        app, ["augment-sheet", str(study), "--out", str(tmp_path / "sheet.png"), "--images", "2"]
    )
    assert result.exit_code == 0, result.output
    assert pixels(tmp_path / "sheet.png").shape[1] > 1000


def test_the_sheet_shows_training_images_of_both_classes(study: Path, tmp_path: Path):
    loaded = Study.load(study)
    names = augment_sheet(loaded, None, out=tmp_path / "sheet.PNG", images=4, seed=1)
    prepared = prepare(loaded, None)
    assert set(names) <= set(prepared.splits[0].train)
    assert prepared.labels[list(names)].tolist() == [1, 0, 1, 0]
    assert names != augment_sheet(loaded, None, out=tmp_path / "sheet.png", images=4, seed=2)
    assert pixels(tmp_path / "sheet.png").std() > 20


def test_a_sheet_of_another_format_is_refused(study: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"\.png, \.pdf, \.svg; got .*sheet\.doc"):
        augment_sheet(Study.load(study), None, out=tmp_path / "sheet.doc")
