"""A pretraining from its file to a weight file that a study takes; interrupted, it loses nothing."""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tomlkit
from safetensors.torch import load_file

import cxrlens
from cxrlens.errors import UserError
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.pipeline.pretrain import pretrain
from cxrlens.pipeline.pretrain_images import gather
from cxrlens.pretrain_study import PretrainStudy
from support.trainings import nothing_trained

FILE = """
name = "tiny-cxr"

[backbone]
name = "tf_efficientnet_lite0"

[[data]]
name = "drawn"
source = "phantom"
patients = 24
size = 64
findings = { Opacity = "label" }

[[data]]
name = "others"
source = "phantom"
patients = 24
size = 64
seed = 5
findings = { Opacity = "label" }
patterns = { even = "[02468][.]png$|[02468]$" }

[images]
size = 64
validation = 0.4
merge_duplicates = false

[augment]
horizontal_flip = true

[training]
batch = 16
epochs = 2
schedule = "one_cycle"
weight_decay = 0.01

[card]
title = "a tiny network"
licence = "CC0"
limits = ["drawn images alone"]
"""


class Stop:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, step: int) -> None:
        self.step, self.training = step, False

    @contextmanager
    def task(self, title: str, total: int):
        yield self

    def update(self, done: int, total: int | None = None, **shown: object) -> None:
        if done == self.step and "loss" in shown:
            signal.raise_signal(signal.SIGINT)

    def say(self, line: str) -> None:
        pass


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> PretrainStudy:
    path = tmp_path_factory.mktemp("file") / "tiny.toml"
    path.write_text(FILE)
    return PretrainStudy.load(path)


@pytest.fixture(scope="module")
def made(study: PretrainStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(study, out=tmp_path_factory.mktemp("pre") / "straight", device="cpu").folder


def test_the_folder_holds_weights_card_and_figures(made: Path) -> None:
    names = {each.name for each in made.iterdir()}
    assert names >= {
        "study.toml", "labels.csv", "history.csv", "predictions.csv", "results.json", "weights.safetensors",
        "card.json", "MODEL_CARD.md", "environment.json", "figures",
    }  # fmt: skip
    assert not (made / "checkpoint.safetensors").exists()
    card = json.loads((made / "card.json").read_text())
    assert (card["name"], card["size"], card["licence"]) == ("tiny-cxr", 64, "CC0")
    text = (made / "MODEL_CARD.md").read_text()
    assert "a tiny network. For research only" in text and "- drawn images alone" in text and "| Opacity |" in text


def test_what_a_set_does_not_know_is_unknown_and_patients_are_apart(made: Path) -> None:
    labels = pd.read_csv(made / "labels.csv")
    assert labels.loc[labels["set"] == "drawn", "even"].isna().all()
    assert labels.loc[labels["set"] == "others", "even"].notna().all()
    sides = labels.groupby("patient")["side"].nunique()
    assert (sides == 1).all() and set(labels["side"]) == {"train", "validation"}


def test_results_hold_each_finding_and_probes_before_and_after(made: Path) -> None:
    results = json.loads((made / "results.json").read_text())
    by_name = {each["finding"]: each for each in results["findings"]}
    assert list(by_name) == ["Opacity", "even"] and by_name["Opacity"]["low"] <= by_name["Opacity"]["auc"]
    rows = pd.read_csv(made / "predictions.csv")
    known = rows["even"].notna()
    assert by_name["even"]["n_positive"] + by_name["even"]["n_negative"] == known.sum()
    assert {probe["probe"] for probe in results["probes"]} >= {"Opacity, drawn", "source is others"}
    assert all({"before", "after"} <= probe.keys() for probe in results["probes"])


def test_a_set_that_is_only_probed_teaches_nothing_and_is_asked_afterwards(
    made: Path, study: PretrainStudy, tmp_path: Path
) -> None:
    third = study.data[1].model_copy(
        update={"name": "third", "probe_only": True, "patterns": {"odd": "[13579][.]png$"}}
    )
    asked = study.model_copy(update={"data": (*study.data, third)})
    assert asked.findings == study.findings and asked.probed == (*study.findings, "odd")
    shutil.copytree(made, tmp_path / "run")
    trained = (tmp_path / "run" / "trained.safetensors").stat().st_mtime_ns
    folder = pretrain(asked, out=tmp_path / "run", device="cpu").folder
    assert (folder / "trained.safetensors").stat().st_mtime_ns == trained, "trained again"
    assert (folder / "weights.safetensors").read_bytes() == (made / "weights.safetensors").read_bytes()
    results, before = (json.loads((each / "results.json").read_text()) for each in (folder, made))
    assert results["findings"] == before["findings"]
    new = [probe for probe in results["probes"] if probe not in before["probes"]]
    assert {probe["probe"] for probe in new} == {"Opacity, third (probed only)", "odd, third (probed only)"}
    assert all(probe["after"]["patients"] == 24 for probe in new)
    counts = {each["set"]: (each["train"]["patients"], each["probe"]["patients"]) for each in results["sets"]}
    assert counts["third"] == (0, 24) and counts["others"][1] == 0


def test_a_study_takes_the_weights_by_their_path(made: Path) -> None:
    row = ModelOptions(name="x", backbone="tf_efficientnet_lite0", weights=str(made / "weights.safetensors"))
    assert build_classifier(row, 64, seed=0).weights.title == "a tiny network"


def test_interrupted_and_gone_on_with_is_the_same_to_the_last_bit(
    made: Path, study: PretrainStudy, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        pretrain(study, out=tmp_path / "again", device="cpu", progress=Stop(3))
    assert (tmp_path / "again" / "checkpoint.safetensors").exists()
    again = pretrain(study, out=tmp_path / "again", device="cpu").folder
    for name in ("history.csv", "predictions.csv", "results.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (made / name).read_bytes(), name


def test_a_finished_one_is_not_trained_again_but_its_card_can_change(made: Path, study: PretrainStudy) -> None:
    trained = (made / "trained.safetensors").stat().st_mtime_ns
    before = load_file(made / "weights.safetensors")
    changed = study.model_copy(update={"card": study.card.model_copy(update={"licence": "MIT"})})
    folder = pretrain(changed, out=made, device="cpu").folder
    assert (folder / "trained.safetensors").stat().st_mtime_ns == trained, "trained again"
    assert json.loads((folder / "card.json").read_text())["licence"] == "MIT"
    after = load_file(folder / "weights.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    with pytest.raises(UserError, match="holds another pretraining"):
        pretrain(study.model_copy(update={"seed": 1}), out=made, device="cpu")


def test_a_teacher_leaves_a_head_of_findings_only(study: PretrainStudy, tmp_path: Path) -> None:
    teacher = {"name": "tf_efficientnet_lite0", "weights": "efficientnet-lite0-imagenet"}
    raw = study.model_dump() | {"teacher": teacher, "data": study.data, "training": {"batch": 32, "epochs": 1}}
    done = pretrain(PretrainStudy.model_validate(raw), out=tmp_path / "taught", device="cpu")
    assert [each["finding"] for each in done.results["findings"]] == ["Opacity", "even"]
    assert "its pooled features are a second training target" in (done.folder / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(("asked", "mean", "std"), [('"unit"', 0.0, 1.0), ("{ mean = 0.5, std = 0.25 }", 0.5, 0.25)])
def test_a_network_can_be_given_another_scale_and_its_card_says_so(
    tmp_path: Path, asked: str, mean: float, std: float
) -> None:
    (tmp_path / "scaled.toml").write_text(
        FILE.replace("[[data]]", f"preprocessing = {asked}\n\n[[data]]", 1).replace("epochs = 2", "epochs = 1")
    )
    study = PretrainStudy.load(tmp_path / "scaled.toml")
    assert PretrainStudy.of(tomlkit.parse(study.to_toml())) == study
    done = pretrain(study, out=tmp_path / "out", device="cpu")
    row = ModelOptions(name="x", backbone="tf_efficientnet_lite0", weights=str(done.weights))
    given = build_classifier(row, 64, seed=0).preprocessing
    assert (given.mean, given.std) == ((mean,) * 3, (std,) * 3)
    assert f"(x − {mean:.4g}) / {std:.4g} of x" in (done.folder / "MODEL_CARD.md").read_text()


def test_the_whole_file_comes_back_from_its_own_words(study: PretrainStudy, tmp_path: Path) -> None:
    (tmp_path / "again.toml").write_text(study.to_toml())
    assert PretrainStudy.load(tmp_path / "again.toml") == study


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs = 2", "epoch = 2", "unknown key in training 'epoch'; did you mean 'epochs'"),
        ("[[data]]", "[data]", r"needs at least one \[\[data\]\] table|not valid TOML"),
        (
            '"tf_efficientnet_lite0"\n',
            '"tf_efficientnet_lite0"\npreprocessing = { mean = 0.5, std = 0.0 }\n',
            r"backbone\.preprocessing\.std: .*got 0\.0",
        ),
        ('source = "phantom"\n', 'source = "phantom"\nprobe_only = true\n', "every data set has probe_only"),
        ('name = "others"', 'name = "drawn"', "each data set needs its own name"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "wrong.toml").write_text(FILE.replace(old, new))
    with pytest.raises(UserError, match=said):
        PretrainStudy.load(tmp_path / "wrong.toml")


def test_draws_that_a_pretraining_would_not_make_are_no_setting_of_it() -> None:
    file = tomlkit.parse(FILE).unwrap() | {"evaluation": {"draws": 200}}
    with pytest.raises(UserError, match="draws"):
        PretrainStudy.of(file)
    assert PretrainStudy.of(file | {"evaluation": {"level": 0.9, "seed": 1}}).evaluation.level == 0.9


def test_a_finding_of_one_class_stops_before_training(study: PretrainStudy, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(FILE.replace("[02468][.]png$|[02468]$", "^never$"))
    with pytest.raises(UserError, match="even: the training set needs images with it and without it; got 0 with"):
        cxrlens.pretrain(PretrainStudy.load(tmp_path / "one.toml"), out=tmp_path / "out", device="cpu")


def test_a_held_out_side_that_can_judge_nothing_is_told_before_training(tmp_path: Path) -> None:
    file = tomlkit.parse(FILE)
    file["images"]["validation"] = 1e-6
    held_out = r"no patient is held out for validation \(48 patients, share 1e-06\)"
    with nothing_trained(tmp_path), pytest.raises(UserError, match=held_out):
        pretrain(PretrainStudy.of(file.unwrap()), out=tmp_path / "none", device="cpu")
    file["training"]["batch"], file["backbone"]["name"], file["images"]["size"] = 1, "resnet10t", 32
    with nothing_trained(tmp_path), pytest.raises(UserError, match="tiny-cxr: a training step of 1 image"):
        pretrain(PretrainStudy.of(file.unwrap()), out=tmp_path / "one", device="cpu")


@pytest.mark.parametrize(("patients", "told"), [(2, True), (9, True), (24, False)])
def test_a_finding_of_too_few_held_out_patients_is_named_before_training(
    tmp_path: Path, patients: int, told: bool
) -> None:
    said: list[str] = []
    watcher = Stop(0)
    watcher.say = said.append  # type: ignore[method-assign]
    file = tomlkit.parse(FILE)
    some = "|".join(f"{number:04d}" for number in range(patients))
    file["data"][1]["patterns"] = {"first": f"phantom-({some})-1[.]png$"}
    validation = gather(PretrainStudy.of(file.unwrap()), None, watcher).subset("validation")
    held_out = validation.loc[validation["first"] == 1, "patient"].nunique()
    assert (held_out < 5) == told and [line.split(":")[1] for line in said] == [" first"] * told
    for line in said:
        assert (
            "the held-out patients have " in line and f"needs at least 5 patients of each class; got {held_out}" in line
        )
