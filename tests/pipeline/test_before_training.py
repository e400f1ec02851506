"""What would end a run after hours of training is asked before the first step of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app
from cxrlens.errors import UserError
from cxrlens.pipeline import fit as fit_module
from cxrlens.pipeline.prepare import prepare
from support.users_folders import folder, study, study_file


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "train", lambda *_: pytest.fail("a network was trained"))


def cohort(path: Path, positives: int, negatives: int, per_patient: int = 1) -> Path:
    rows = [
        {"image": f"{sign}-{number}.png", "patient": f"{sign}{number // per_patient}", "label": sign}
        for sign, count in ((1, positives), (0, negatives))
        for number in range(count)
    ]
    return folder(path, rows)


@pytest.mark.parametrize(
    ("positives", "per_patient", "split", "message"),
    [
        (
            2,
            1,
            {},
            r"kind 'patient'\): 1 positive \(1 patient\), .* 2 positive patients in all: these are too few",
        ),
        (5, 1, {"validation": 0.2}, r"5 positive patients in all: write validation = 0.4 .* under \[split\]"),
        (5, 1, {"kind": "patient-kfold", "folds": 5}, r"fold 0\): 1 positive .* 5 of 5 folds; .* write folds = 2 "),
        (6, 3, {"validation": 0.4}, r": 3 positive \(1 patient\), "),
        (8, 1, {"kind": "paper", "validation": 0.2, "seed": 2}, r"kind 'paper'\): 1 positive .* another seed, or add"),
    ],
)
def test_a_validation_side_that_can_give_no_interval_is_refused_by_check_plan_and_run(
    tmp_path: Path, positives: int, per_patient: int, split: dict[str, Any], message: str
) -> None:
    data, file = cohort(tmp_path / "data", positives, 30, per_patient), study_file(tmp_path / "s.toml", split=split)
    with pytest.raises(UserError, match=message):
        cxrlens.plan(cxrlens.Study.load(file), data, device="cpu")
    with pytest.raises(UserError, match=message):
        cxrlens.run(cxrlens.Study.load(file), data, out=tmp_path / "run", device="cpu")
    report = cxrlens.check(cxrlens.Study.load(file), data)
    assert len(report.faults) == 1 and "; an AUC needs 2 readable images" in report.faults[0]
    assert report.sides, "the split is still shown"
    strict = CliRunner().invoke(app, ["data", "check", str(file), "--data", str(data), "--strict"])
    assert strict.exit_code == 1


@pytest.mark.parametrize("positives", [3, 4, 5, 7])
@pytest.mark.parametrize("kind", ["patient", "patient-kfold"])
def test_what_the_refusal_says_to_write_is_enough(tmp_path: Path, positives: int, kind: str) -> None:
    data = cohort(tmp_path / "data", positives, 30)
    requested = {"kind": kind, "validation": 0.1, "folds": positives}
    with pytest.raises(UserError, match=r"under \[split\]") as refused:
        cxrlens.plan(study(split=requested), data, device="cpu")
    told = {key: json.loads(value) for key, value in re.findall(r"(\w+) = (\S+) ", str(refused.value))}
    assert told
    assert cxrlens.plan(study(split=requested | told), data, device="cpu").models


@pytest.mark.parametrize(
    ("positives", "told"),
    [
        (9, "no AUC of this study will have an interval: an interval needs at least 5"),
        (21, "will be rough: 7 "),
        (60, ""),
    ],
)
def test_too_few_patients_for_an_interval_are_told_before_training(tmp_path: Path, positives: int, told: str) -> None:
    data, requested = cohort(tmp_path / "data", positives, 60), study()
    result = [
        [line for line in cxrlens.check(requested, data).warnings if "interval" in line],
        [line for line in prepare(requested, data).warnings if "interval" in line],
    ]
    sized = [line for line in cxrlens.check(requested, data).warnings if "an AUC of 0.75" in line]
    assert len(sized) == (positives > 9), "how well an AUC is known is said only where it has an interval"
    assert result[0] == result[1] and len(result[0]) == bool(told)
    assert all(told in line for lines in result for line in lines)


def test_what_cannot_be_read_does_not_count_for_the_interval(tmp_path: Path) -> None:
    data = cohort(tmp_path / "data", 6, 30)
    requested = study(data={"source": "csv_table", "table": "labels.csv", "most_missing": 1.0})
    held_out = next(each for each in cxrlens.check(requested, data).splits).validation
    broken = next(name for name in held_out if name.startswith("1-"))
    (data / broken).write_bytes(b"no picture")
    assert sum(name.startswith("1-") for name in held_out) == 2
    with pytest.raises(UserError, match=r": 1 positive \(1 patient\), "):
        cxrlens.plan(requested, data, device="cpu")


def test_one_person_under_two_ids_is_one_patient_for_the_interval(tmp_path: Path) -> None:
    data = cohort(tmp_path / "data", 6, 30)
    for number in range(1, 6):  # one exposure six times, under six ids
        Image.open(data / "1-0.png").save(data / f"1-{number}.png")
    with pytest.raises(UserError, match=r"needs at least 2 patients"):
        cxrlens.plan(study(), data, device="cpu")


def test_a_level_that_needs_more_draws_is_refused_with_the_study() -> None:
    with pytest.raises(UserError, match=r"at level 0\.999 needs at least 1999 draws; got 100"):
        study(evaluation={"level": 0.999, "draws": 100})


def test_a_batch_of_one_is_refused_by_model_where_its_network_cannot_take_it(tmp_path: Path) -> None:
    data = cohort(tmp_path / "data", 8, 8)
    rows = [{"name": "fine", "batch": 1}, {"name": "r10", "backbone": "resnet10t", "batch": 1}]
    for ask in (cxrlens.plan, cxrlens.run):
        with pytest.raises(UserError, match=r"model 'r10': a training step of 1 image at 32 × 32 .* larger batch"):
            ask(study(models=rows), data, device="cpu", **({"out": tmp_path / "r"} if ask is cxrlens.run else {}))
    assert cxrlens.plan(study(models=rows[:1]), data, device="cpu").models[0].steps > 5
    whole = [{"name": "r10", "backbone": "resnet10t", "batch": 1, "size": 64}]  # 2 × 2 at its end
    assert len(cxrlens.plan(study(models=whole), data, device="cpu").models) == 1


@pytest.mark.parametrize("ask", [cxrlens.run, cxrlens.plan, cxrlens.check])
def test_an_absent_folder_is_refused_where_the_study_needs_none_as_well(tmp_path: Path, ask: Any) -> None:
    file = tmp_path / "drawn.toml"
    file.write_text('name = "drawn"\n[data]\nsource = "phantom"\npatients = 12\n[[models]]\nname = "a"\n')
    options = {"out": tmp_path / "run"} if ask is cxrlens.run else {}
    with pytest.raises(UserError, match=r"there is no folder .*xrays; this study needs no folder: leave --data out"):
        ask(file, tmp_path / "xrays", **options)
