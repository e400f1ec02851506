"""A run from its study to its folder: what is in it, that it repeats, and that nothing is lost on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

import cxrlens
from cxrlens.data.cache import build_cache
from cxrlens.data.sources.phantom import Phantom
from cxrlens.pipeline import fit as fit_module
from support.trainings import nothing_trained


def test_the_run_folder_holds_what_the_house_promises(finished: cxrlens.Run) -> None:
    folder = finished.folder.path
    for name in ("study.toml", "cohort.csv", "splits.csv", "predictions.csv", "results.json", "environment.json"):
        assert (folder / name).is_file(), name
    unit = folder / "models" / "frozen-network" / "seed-1" / "fold-0"
    assert {each.name for each in unit.iterdir()} == {
        "weights.safetensors", "history.csv", "predictions.csv", "train_predictions.csv", "unit.json",
    }  # fmt: skip
    assert {each.stem for each in (folder / "figures").iterdir()} >= {"auc", "roc", "calibration", "training"}
    assert list(pd.read_csv(folder / "predictions.csv"))[:7] == [
        "model", "seed", "fold", "image", "patient", "label", "probability",
    ]  # fmt: skip
    stages = json.loads((folder / "environment.json").read_text())["stages"]
    assert {"cohort", "evaluate", "train small network (seed 0)"} <= {stage["name"] for stage in stages}


def test_results_say_what_they_are_of(finished: cxrlens.Run) -> None:
    results = finished.results
    cohort, table = results["cohort"], finished.cohort
    assert (cohort["images"], cohort["patients"]) == (len(table), table["patient"].nunique())
    assert cohort["train"] + cohort["validation"] == len(table) and cohort["validation_patients_in_training"] == 0
    assert [model["name"] for model in results["models"]] == ["small network", "frozen network"]
    frozen = results["models"][1]
    assert (frozen["parameters"], frozen["trainable_parameters"], frozen["seeds"]) == (3_371_008 + 1281, 1281, 2)
    assert 0 <= frozen["auc"] <= 1 and frozen["paper_auc"] == 0.7
    assert (frozen["paper_positive"], frozen["paper_negative"]) == (79, 17)
    assert frozen["auc_low"] is None and "at least 5 patients of each class" in frozen["reason"]
    assert frozen["weights"]["name"] == "efficientnet-lite0-imagenet" and len(frozen["weights"]["sha256"]) == 64
    assert len(results["comparisons"]) == 1 and results["comparisons"][0]["reason"] == frozen["reason"]
    assert [each["name"] for each in results["skipped"]] == ["out of reach"]
    assert "cxrlens weights add" in results["skipped"][0]["reason"]


def test_the_same_seed_gives_the_same_bytes(finished: cxrlens.Run, tmp_path: Path) -> None:
    again = cxrlens.run(finished.study, out=tmp_path / "again", device="cpu")
    for name in ("results.json", "predictions.csv"):
        assert (again.folder.path / name).read_bytes() == (finished.folder.path / name).read_bytes(), name


def test_a_finished_run_is_not_trained_again(finished: cxrlens.Run) -> None:
    before = (finished.folder.path / "results.json").read_bytes()
    with nothing_trained(finished.folder.path):
        cxrlens.run(finished.study, out=finished.folder.path, device="cpu")
    assert (finished.folder.path / "results.json").read_bytes() == before


def test_a_killed_run_goes_on_to_the_same_bytes(finished: cxrlens.Run, study_file: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cxrlens.cli.main",
        "run",
        str(study_file),
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    second = tmp_path / "models" / "small-network" / "seed-0" / "fold-0" / "unit.json"
    while not second.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "results.json").exists(), "killed too late to show anything"
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    expected = (finished.folder.path / "results.json").read_bytes()
    assert (tmp_path / "results.json").read_bytes() == expected


def test_a_model_from_the_run_gives_the_predictions_of_the_run(finished: cxrlens.Run) -> None:
    model = finished.model("small network", seed=1)
    assert isinstance(model, torch.nn.Module) and not model.training
    predictions = finished.predictions.query("model == 'small network' and seed == 1")
    cohort = finished.study.data.cohort(None)
    pixels = build_cache(cohort, 64, "bilinear").batch(predictions["image"].tolist()).astype(np.float32) / 255
    with torch.no_grad():
        logits = model(torch.from_numpy(pixels)[:, None])
    np.testing.assert_allclose(logits.numpy(), predictions["logit"], rtol=1e-4, atol=1e-5)


def test_table_one_is_a_data_frame(finished: cxrlens.Run) -> None:
    table = finished.table()
    assert isinstance(table, pd.DataFrame) and len(table) >= 2
    assert finished.history("small network")["epoch"].tolist() == [1, 2]
    assert set(finished.subgroups()["by"]) == {"sex", "age", "view", "source"}
    assert len(finished.operating_points()) == 2
    assert "## Subgroups" in (finished.folder.path / "results.md").read_text(encoding="utf-8")


def test_nothing_prints_unless_asked(finished: cxrlens.Run, capfd: pytest.CaptureFixture[str]) -> None:
    cxrlens.run(finished.study, out=finished.folder.path, device="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_folder_with_another_study_is_refused(finished: cxrlens.Run) -> None:
    other = finished.study.model_copy(update={"seeds": (7,)})
    with pytest.raises(cxrlens.UserError, match="holds another study"):
        cxrlens.run(other, out=finished.folder.path, device="cpu")


def test_a_network_of_other_images_is_refused(finished: cxrlens.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "network_identity", lambda *_: "another")
    with pytest.raises(cxrlens.UserError, match=r"trained on other images.*choose another --out"):
        cxrlens.run(finished.study, out=finished.folder.path, device="cpu")


def test_weights_that_were_exchanged_under_a_run_are_refused(finished: cxrlens.Run, tmp_path: Path) -> None:
    row = finished.study.models[1].model_copy(update={"weights": "start.safetensors"})
    study = finished.study.model_copy(update={"models": (row,), "seeds": (0,)})
    weights = tmp_path / "start.safetensors"
    weights.write_bytes((finished.folder.path / "models/small-network/seed-0/fold-0/weights.safetensors").read_bytes())
    cxrlens.run(study, out=tmp_path / "run", device="cpu", study_dir=tmp_path)
    weights.write_bytes((finished.folder.path / "models/small-network/seed-1/fold-0/weights.safetensors").read_bytes())
    with pytest.raises(cxrlens.UserError, match="from other weights"):
        cxrlens.run(study, out=tmp_path / "run", device="cpu", study_dir=tmp_path)


def test_two_runs_in_one_folder_are_refused(finished: cxrlens.Run) -> None:
    with FileLock(finished.folder.path / ".lock"), pytest.raises(cxrlens.UserError, match="another run is writing"):
        cxrlens.run(finished.study, out=finished.folder.path, device="cpu")


def test_a_run_that_cannot_be_written_says_so(finished: cxrlens.Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(cxrlens.UserError, match="cannot create the run's folder"):
        cxrlens.run(finished.study, out=tmp_path / "file" / "run", device="cpu")


def test_a_folder_without_results_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(cxrlens.UserError, match=r"no results\.json"):
        cxrlens.Run.open(tmp_path)


def test_a_study_whose_weights_are_all_out_of_reach_stops_with_what_to_do(
    finished: cxrlens.Run, tmp_path: Path
) -> None:
    study = finished.study.model_copy(update={"models": finished.study.models[2:]})
    with pytest.raises(cxrlens.UserError, match=r"the weights of no model are available:\n- out of reach: .*CheXNet"):
        cxrlens.run(study, out=tmp_path, device="cpu")


def test_images_must_be_given_where_the_source_needs_them(finished: cxrlens.Run, tmp_path: Path) -> None:
    raw = {"name": "x", "data": {"source": "covid_chestxray"}, "models": [{"name": "a"}]}
    with pytest.raises(cxrlens.UserError, match="--data PATH"):
        cxrlens.run(cxrlens.Study.of(raw), out=tmp_path, device="cpu")


def test_folds_are_trained_one_by_one_and_judged_together(finished: cxrlens.Run, tmp_path: Path) -> None:
    split = finished.study.split.model_copy(update={"kind": "patient-kfold", "folds": 2})
    rows = (finished.study.models[1],)
    study = finished.study.model_copy(update={"split": split, "models": rows, "seeds": (0,)})
    run = cxrlens.run(study, out=tmp_path, device="cpu")
    assert run.predictions["fold"].nunique() == 2 and run.results["models"][0]["folds"] == 2
    assert sorted(run.predictions["image"]) == sorted(run.cohort["image"])


def test_predict_looks_at_files_and_folders_and_tells_what_it_could_not_read(
    finished: cxrlens.Run, tmp_path: Path
) -> None:
    for _ in finished.study.data.model_copy(update={"patients": 4}).export(tmp_path / "new"):
        pass
    broken = tmp_path / "new" / "images" / "broken.png"
    broken.write_text("<html>")
    table = finished.predict([tmp_path / "new" / "images"], device="cpu").set_index("image")
    assert {"small network", "frozen network", "problem", "warnings", "side"} == set(table)
    known = table.drop(index=str(broken))
    assert known["small network"].between(0, 1).all() and known["problem"].isna().all()
    assert np.isnan(table.loc[str(broken), "small network"]) and table.loc[str(broken), "problem"]
    with pytest.raises(cxrlens.UserError, match="no such image"):
        finished.predict([tmp_path / "gone.png"], device="cpu")


def test_the_plan_counts_as_the_run_does_and_writes_nothing(finished: cxrlens.Run) -> None:
    plan = cxrlens.plan(finished.study, None, device="cpu")
    results = finished.results
    assert [(row.name, row.parameters) for row in plan.models] == [
        (model["name"], model["parameters"]) for model in results["models"]
    ]
    assert plan.models[0].networks == 2 and plan.models[0].steps == len(finished.history("small network")) * -(
        -results["cohort"]["train"] // 8
    )
    written = (finished.folder.path / "models" / "small-network" / "seed-0" / "fold-0" / "weights.safetensors").stat()
    assert plan.models[0].disk == pytest.approx(2 * written.st_size, rel=0.02)
    assert all(row.seconds > 0 and row.memory > row.parameters * 4 for row in plan.models)


def test_a_study_mended_before_anything_was_trained_may_use_the_folder(finished: cxrlens.Run, tmp_path: Path) -> None:
    row = finished.study.models[1].model_copy(update={"head": "conv"})
    with pytest.raises(cxrlens.UserError, match=r"'conv' head needs a feature map"):
        cxrlens.run(finished.study.model_copy(update={"models": (row,), "seeds": (0,)}), out=tmp_path, device="cpu")
    row = row.model_copy(update={"head": "linear", "epochs": 1})
    run = cxrlens.run(finished.study.model_copy(update={"models": (row,), "seeds": (0,)}), out=tmp_path, device="cpu")
    assert run.study.models[0].head == "linear"


def test_damaged_weights_are_told(finished: cxrlens.Run, tmp_path: Path) -> None:
    copy = cxrlens.Run.open(shutil.copytree(finished.folder.path, tmp_path / "copy"))
    weights = copy.folder.unit("small-network", 0, 0).weights
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(cxrlens.UserError, match=r"weights\.safetensors is damaged .* run the study again"):
        copy.model("small network")


def test_a_folder_with_most_images_missing_is_refused_unless_the_study_allows_it(tmp_path: Path) -> None:
    for _ in Phantom(patients=8, size=64, images_per_patient=(1, 1)).export(tmp_path / "data"):
        pass
    table = tmp_path / "data" / "cohort.csv"
    rows = pd.read_csv(table)
    for image in rows["image"][:5]:
        (tmp_path / "data" / "images" / Path(image).name).unlink()
    raw = {
        "name": "x",
        "data": {
            "source": "csv_table", "table": "cohort.csv", "image": "image", "patient": "patient", "label": "label",
            "images": "images",
        },
        "images": {"size": 64},
        "models": [{"name": "a", "backbone": "tf_efficientnet_lite0"}],
    }  # fmt: skip
    with pytest.raises(cxrlens.UserError, match=r"5 of 8 listed images cannot be read \(.*most_missing, now 0\.5"):
        cxrlens.run(cxrlens.Study.of(raw), data=tmp_path / "data", out=tmp_path / "out", device="cpu")


def test_what_the_command_line_does_is_a_call_away(finished: cxrlens.Run, tmp_path: Path) -> None:
    report = cxrlens.check(finished.study, sheet=tmp_path / "sheet.png")
    assert report.cohort == finished.results["cohort"] and (tmp_path / "sheet.png").exists()
    assert finished.comparisons()["a"].tolist() == ["small network"]
    assert all(getattr(cxrlens, name) for name in cxrlens.__all__)


def test_damaged_timings_do_not_keep_a_run_from_going_on(finished: cxrlens.Run, tmp_path: Path) -> None:
    copy = shutil.copytree(finished.folder.path, tmp_path / "copy")
    (copy / "environment.json").write_text("{")
    cxrlens.run(finished.study, out=copy, device="cpu")
    assert json.loads((copy / "environment.json").read_text())["stages"]
