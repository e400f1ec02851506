"""A run judged on images from elsewhere: which of them may judge it, and what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app
from cxrlens.data.cache import ImageCache, build_cache
from cxrlens.data.cohort import Cohort
from cxrlens.data.sources import SOURCES
from cxrlens.data.sources.phantom import Phantom
from cxrlens.errors import UserError
from cxrlens.evaluate.auc import AucInterval, auc_interval
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.pipeline import external as external_module
from cxrlens.pipeline import interface as interface_module
from cxrlens.pipeline.external import (
    ExternalResult,
    evaluate_external,
    external_images,
    share_patient_ids,
    write_external,
)
from cxrlens.pipeline.external_evaluate import evaluate_outside
from cxrlens.run_folder import RunFolder
from cxrlens.study import EvaluationOptions

FOLDER_STUDY = """
name = "Another clinic"
[data]
source = "csv_table"
table = "cohort.csv"
images = "images"
[[models]]
name = "never looked at"
"""


def phantoms(run: cxrlens.Run, **options: object) -> cxrlens.Study:
    """The run's study of other phantoms."""
    return run.study.model_copy(update={"name": "elsewhere", "data": run.study.data.model_copy(update=options)})


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cxrlens.Run, "model", lambda *_, **__: pytest.fail("a network was loaded"))
    yield


@pytest.fixture(scope="module")
def elsewhere(finished: cxrlens.Run) -> ExternalResult:
    return evaluate_external(finished, study=phantoms(finished, seed=4, patients=12), device="cpu")


@pytest.fixture(scope="module")
def clinic(finished: cxrlens.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 new patients, among whom are two images of the run, one of them saved as a PNG of a new id."""
    folder = tmp_path_factory.mktemp("data") / "clinic"
    own = finished.study.data
    assert isinstance(own, Phantom)
    for _ in own.model_copy(update={"seed": 9, "patients": 12, "images_per_patient": (2, 2)}).export(folder):
        pass
    for _ in own.model_copy(update={"patients": 2, "images_per_patient": (1, 1)}).export(folder.parent / "copies"):
        pass
    table = pd.read_csv(folder / "cohort.csv")
    copies = table.iloc[:2].assign(image=["copy-0.png", "copy-1.png"], patient=["P0003", "new id"])
    for number, name in enumerate(copies["image"]):
        shutil.copy(folder.parent / "copies" / "images" / f"phantom-000{number}-1.png", folder / "images" / name)
    table = pd.concat([table, copies], ignore_index=True)
    table.loc[0, "label"] = np.nan
    table.to_csv(folder / "cohort.csv", index=False)
    (folder / "images" / table["image"][3]).write_text("<html>")
    (folder.parent / "clinic.toml").write_text(FOLDER_STUDY)
    return folder


def test_every_network_looks_at_every_image(finished: cxrlens.Run, elsewhere: ExternalResult) -> None:
    images = elsewhere.images.table["image"].tolist()
    assert len(images) == elsewhere.images.listed and not any(elsewhere.images.left_out.values())
    assert list(elsewhere.predictions) == list(finished.predictions)
    for _, part in elsewhere.predictions.groupby(["model", "seed", "fold"]):
        assert part["image"].tolist() == images
    assert len(elsewhere.predictions) == len(images) * 2 * 2
    for model in elsewhere.models:
        rows = elsewhere.predictions.query("model == @model.name")
        aucs = [roc_auc_score(part["label"], part["logit"]) for _, part in rows.groupby("seed")]
        assert model.outside.auc == pytest.approx(np.mean(aucs))
        assert [each.auc for each in model.networks] == pytest.approx(aucs)


def test_inside_is_what_the_run_says_and_the_difference_is_from_there(
    finished: cxrlens.Run, elsewhere: ExternalResult
) -> None:
    for output, model in zip(finished.results["models"], elsewhere.models, strict=True):
        assert (model.name, model.inside_auc, model.inside_low) == (output["name"], output["auc"], output["auc_low"])
        change = model.change
        assert change.difference == pytest.approx(model.inside_auc - model.outside.auc, abs=1e-6)
        # Both sets are too small for an interval; see `test_the_change_of_three_seeds_is_of_the_networks_as_trained`.
        assert np.isnan(change.low) and "got 4 with positive and 3 with negative images" in change.reason
        assert np.isnan(model.outside.auc_low) and "1 with negative images" in model.outside.reason
        assert 0 <= model.outside.threshold.sensitivity <= 1 and model.outside.threshold.value > 0


def test_a_folder_is_judged_without_the_runs_images_and_their_patients(
    finished: cxrlens.Run, clinic: Path, tmp_path: Path
) -> None:
    run = cxrlens.Run.open(shutil.copytree(finished.folder.path, tmp_path / "run"))
    study = clinic.parent / "clinic.toml"
    command = ["evaluate", str(run.folder.path), "--data", str(clinic), "--study", str(study), "--device", "cpu"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    output = json.loads(done.stdout)
    written = run.folder.path / "external" / "another-clinic.json"
    assert json.loads(written.read_text()) == output and output["schema_version"] == 1
    # P0003 of the folder is somebody else than P0003 of the run, until an image of the run is theirs.
    assert output["left_out"] == {
        "unreadable": 1, "same_file": 0, "near_duplicate": 2, "same_patient": 2, "unlabelled": 1,
    }  # fmt: skip
    assert output["images"]["listed"] == 26 and output["images"]["evaluated"] == 20
    assert output["data"] == {
        "name": "Another clinic", "source": "csv_table", "study": "Another clinic", "folder": "clinic",
    }  # fmt: skip
    assert not any(part in written.read_text() for part in (str(clinic.parent), str(tmp_path), "/tmp", "<html>"))
    predictions = pd.read_csv(written.with_suffix(".csv"))
    assert set(predictions["patient"]).isdisjoint({"P0003", "new id"})
    looked_at = run.predict([clinic / "images" / name for name in predictions["image"].unique()], device="cpu")
    means = predictions.query("model == 'small network'").groupby("image", sort=False)["probability"].mean()
    np.testing.assert_allclose(looked_at["small network"], means, rtol=1e-5)


def test_the_command_says_who_judged_and_what_that_does_not_show(
    finished: cxrlens.Run, elsewhere: ExternalResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interface_module, "evaluate_external", lambda *_, **__: elsewhere)
    command = ["evaluate", str(finished.folder.path), "--out", str(tmp_path / "there.json")]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "80"})
    text = " ".join(done.stdout.split())
    assert done.exit_code == 0 and "AUC of tiny on elsewhere [95%]" in text and "small network" in text
    assert "External images: an interval needs at least 5 patients of each class; got" in text
    assert "Validation set: an interval" in text
    assert "of 12 patients" in text and "not show which difference caused it" in text and "never for diagnosis" in text
    assert {each.name for each in tmp_path.iterdir()} == {"there.json", "there.csv"}
    refused = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "there.csv")])
    assert isinstance(refused.exception, cxrlens.UserError) and "--out needs a file that ends in .json" in str(
        refused.exception
    )


def test_the_command_never_writes_a_p_of_0(
    finished: cxrlens.Run, elsewhere: ExternalResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = elsewhere.models[0]
    sure = replace(elsewhere, models=(replace(first, change=replace(first.change, p_holm=0.0002)),))
    monkeypatch.setattr("cxrlens.pipeline.interface.evaluate_external", lambda *_, **__: sure)
    command = ["evaluate", str(finished.folder.path), "--out", str(tmp_path / "there.json")]
    said = CliRunner().invoke(app, command, env={"COLUMNS": "80"}).stdout
    assert "<0.001" in said and " 0.000" not in said


def test_the_runs_own_page_has_it_from_then_on(
    finished: cxrlens.Run, elsewhere: ExternalResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interface_module, "evaluate_external", lambda *_, **__: elsewhere)
    run = shutil.copytree(finished.folder.path, tmp_path / "run")
    assert "External validation" not in (run / "report.html").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["evaluate", str(run)]).exit_code == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "External validation" in page and f"{elsewhere.models[0].outside.auc:.3f}" in page


def test_the_file_is_called_after_the_other_images(
    finished: cxrlens.Run, elsewhere: ExternalResult, tmp_path: Path
) -> None:
    written = write_external(cxrlens.Run(RunFolder(tmp_path)), elsewhere)
    assert written.file == tmp_path / "external" / "elsewhere.json"
    table = pd.read_csv(tmp_path / "external" / "elsewhere.csv")
    assert list(table) == list(finished.predictions) and len(table) == len(elsewhere.predictions)


@pytest.mark.usefixtures("no_network")
def test_the_runs_own_images_judge_nothing(finished: cxrlens.Run) -> None:
    images = len(finished.cohort)
    expected = rf"got 0 positive and 0 negative.* 0 of {images} listed images; left out: {images} identical to a file"
    with pytest.raises(cxrlens.UserError, match=expected):
        evaluate_external(finished, device="cpu")


@pytest.mark.usefixtures("no_network")
def test_images_of_one_class_judge_nothing(finished: cxrlens.Run, clinic: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clinic, tmp_path / "clinic")
    table = pd.read_csv(folder / "cohort.csv")
    table[table["label"] == 1].to_csv(folder / "cohort.csv", index=False)
    study = cxrlens.Study.load(clinic.parent / "clinic.toml")
    with pytest.raises(cxrlens.UserError, match=r"at least 2 images of each class; got \d+ positive and 0 negative"):
        evaluate_external(finished, folder, study=study, device="cpu")


@pytest.mark.usefixtures("no_network")
def test_images_that_the_runs_study_cannot_list_ask_for_a_study(finished: cxrlens.Run, tmp_path: Path) -> None:
    run = cxrlens.Run.open(
        shutil.copytree(finished.folder.path, tmp_path / "run", ignore=shutil.ignore_patterns("models"))
    )
    run.folder.study.write_text(FOLDER_STUDY)
    with pytest.raises(cxrlens.UserError, match=r"cohort\.csv.*give a study with --study"):
        evaluate_external(run, tmp_path, device="cpu")
    with pytest.raises(cxrlens.UserError, match="--data PATH"):
        evaluate_external(run, device="cpu")


def test_a_run_whose_images_are_gone_says_that_copies_were_not_looked_for(
    finished: cxrlens.Run, tmp_path: Path
) -> None:
    run = cxrlens.Run.open(shutil.copytree(finished.folder.path, tmp_path / "run"))
    made = run.folder.read_json("environment.json")
    run.folder.write_json("environment.json", {**made, "data": str(tmp_path / "gone")})
    # The same people, more of them: who is in the run is known by id and file alone.
    result = evaluate_external(run, study=phantoms(run, patients=28), device="cpu")
    assert result.images.left_out["same_file"] == len(run.cohort) and result.images.left_out["near_duplicate"] == 0
    output = json.dumps(result.to_json())
    assert "could not be searched" in output and str(tmp_path) not in output


def known(cohort: Cohort, cache: ImageCache) -> pd.DataFrame:
    """What `cohort.csv` says of a run made with these images."""
    return cohort.table.merge(cache.facts, on="image", how="left")


def test_more_images_of_the_runs_patients_are_left_out_by_patient(finished: cxrlens.Run) -> None:
    own = finished.study.data
    more = own.model_copy(update={"patients": 20, "images_per_patient": (3, 3)})
    cohort = more.cohort(None)
    cache = build_cache(cohort, 64, "bilinear")
    selected = external_images(cohort, cache, finished.cohort, None, share_patient_ids(own, more))
    patients = {f"P{number:04d}" for number in range(16, 20)}
    assert set(selected.table["patient"]) == patients and len(selected.table) == 12
    assert selected.left_out["same_file"] == len(finished.cohort)
    assert selected.left_out["same_patient"] == 16 * 3 - len(finished.cohort)
    strangers = external_images(cohort, cache, finished.cohort.iloc[:0], None, True)
    assert len(strangers.table) == 60


@pytest.mark.usefixtures("no_network")
def test_who_only_shares_ids_with_the_run_is_told_how_to_say_so(
    finished: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = finished.study.data.model_copy(update={"seed": 9, "patients": 6, "images_per_patient": (2, 2)})
    study = finished.study.model_copy(update={"data": others})
    monkeypatch.setattr(external_module, "share_patient_ids", lambda *_: True)
    with pytest.raises(cxrlens.UserError, match=r"12 of a patient of the run.*different people, use --ids-apart"):
        evaluate_external(finished, None, study=study, device="cpu")
    with pytest.raises(pytest.fail.Exception, match="a network was loaded"):  # so all are let through, and judged
        evaluate_external(finished, None, study=study, device="cpu", ids_apart=True)


def test_ids_that_cannot_be_compared_are_refused_before_an_image_is_read(
    finished: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise UserError("patient ids in two ways")

    monkeypatch.setattr(external_module, "share_patient_ids", refuse)
    monkeypatch.setattr(external_module, "decode_images", lambda *_: pytest.fail("images were read"))
    with pytest.raises(UserError, match="patient ids in two ways"):
        evaluate_external(finished, study=phantoms(finished, seed=4), device="cpu")


def test_a_folder_that_the_source_would_not_read_is_refused_and_not_ignored(
    finished: cxrlens.Run, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"not read from .*; describe the images of that folder .* --study"):
        evaluate_external(finished, tmp_path, device="cpu")


def test_equal_ids_are_one_person_within_a_kind_of_source_only() -> None:
    nih, covid = (SOURCES[name]() for name in ("nih_chestxray14", "covid_chestxray"))
    assert share_patient_ids(nih, SOURCES["nih_chestxray14"](positive=("Mass",))) and not share_patient_ids(nih, covid)
    assert share_patient_ids(SOURCES["dicom_folder"](), SOURCES["image_folder"]())
    with pytest.raises(UserError, match="patient_ids and salt"):
        share_patient_ids(SOURCES["dicom_folder"](salt="a"), SOURCES["dicom_folder"]())
    assert share_patient_ids(Phantom(seed=1, patients=3), Phantom(seed=1)) and not share_patient_ids(
        Phantom(), Phantom(seed=1)
    )


def external_model(inside: pd.DataFrame, outside: pd.DataFrame, groups: dict[str, str] | None = None) -> Any:
    """The one model of made-up predictions, inside and outside."""
    results = evaluate(inside, None, described(inside)).to_json()
    run = SimpleNamespace(study=SimpleNamespace(evaluation=EvaluationOptions()), results=results, predictions=inside)
    return evaluate_outside(run, outside, inside, described(outside), groups or {}, {})[1][0]


def described(predictions: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"image": predictions["image"].unique(), "sex": "F", "age": 50.0, "view": "PA", "source": "x"})


def made_up(seed: int, folds: int = 1, patients: int = 40, seeds: int = 1) -> pd.DataFrame:
    """Predictions of every image by every network; `seed` is of the random numbers, `seeds` are of the training."""
    rng = np.random.default_rng(seed)
    label = np.tile([0, 1], patients // 2)
    tables = []
    for training, fold in product(range(seeds), range(folds)):
        logit = label + rng.normal(size=patients)
        columns = {"model": "m", "seed": training, "fold": fold, "image": [f"{k}.png" for k in range(patients)]}
        scores = {"probability": 1 / (1 + np.exp(-logit)), "logit": logit}
        tables.append(pd.DataFrame(columns | {"patient": [f"p{k}" for k in range(patients)], "label": label} | scores))
    return pd.concat(tables, ignore_index=True)


def auc_of_seeds(predictions: pd.DataFrame) -> AucInterval:
    scores = predictions.pivot(index="image", columns="seed", values="logit")
    facts = predictions.drop_duplicates("image").set_index("image").loc[scores.index]
    return auc_interval(facts["label"], scores.to_numpy().T, facts["patient"])


def test_the_change_of_three_seeds_is_of_the_networks_as_trained() -> None:
    inside, outside = made_up(seed=3, seeds=3), made_up(seed=4, seeds=3, patients=30)
    model = external_model(inside, outside)
    of_inside, of_outside = (auc_of_seeds(predictions) for predictions in (inside, outside))
    assert (model.inside_auc, model.inside_low, model.inside_high) == pytest.approx(
        (of_inside.auc, of_inside.low, of_inside.high), abs=1e-6
    )
    assert (model.outside.auc, model.outside.auc_low) == pytest.approx((of_outside.auc, of_outside.low))
    change = model.change
    assert change.difference == pytest.approx(of_inside.auc - of_outside.auc)
    # Independent patients: about as wide as both intervals at right angles.
    widths = np.hypot(of_inside.high - of_inside.low, of_outside.high - of_outside.low)
    assert change.high - change.low == pytest.approx(widths, rel=0.1) and not change.reason
    # The same networks look at both sets: another training has no part in the difference.
    assert np.isfinite(model.outside.auc_train_low)
    assert np.isnan([change.train_low, change.train_high, change.train_p, change.train_p_holm]).all()
    assert change.decides == change.p_holm == change.p


def test_folds_that_saw_the_same_images_are_no_more_images() -> None:
    outside = made_up(folds=4, seed=1)
    model = external_model(outside, outside)
    assert [(each.seed, each.fold) for each in model.networks] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    each = [auc_interval(part["label"], part["logit"], part["patient"]) for _, part in outside.groupby("fold")]
    assert model.outside.auc == pytest.approx(np.mean([one.auc for one in each]))
    narrowest = min(one.high - one.low for one in each)
    assert model.outside.auc_high - model.outside.auc_low > narrowest / 4**0.5  # four times the images would halve it


def test_as_many_patients_inside_and_outside_are_other_patients() -> None:
    same = made_up(seed=2)
    change = external_model(same, same).change
    assert change.difference == 0 and change.low < -0.05 and change.high > 0.05 and change.p > 0.5


def test_a_patient_under_two_ids_outside_counts_as_one() -> None:
    same = made_up(seed=2)
    assert external_model(same, same, {"p1": "p3"}).outside.patients == 39


@pytest.fixture(scope="module")
def paper(shared: Path) -> tuple[Cohort, ImageCache]:
    cohort = SOURCES["covid_chestxray"]().cohort(shared / "data" / "covid-chestxray-2020-05-04")
    return cohort, build_cache(cohort, 112)


def test_a_later_snapshot_is_left_without_the_papers_images_and_patients(
    shared: Path, paper: tuple[Cohort, ImageCache]
) -> None:
    source = SOURCES["covid_chestxray"]()
    cohort = source.cohort(shared / "data" / "covid-chestxray-2020-08")
    cache = build_cache(cohort, 112)
    table = known(*paper)
    by_id = external_images(cohort.with_missing(cache.missing), cache, table, None, share_patient_ids(source, source))
    assert set(by_id.table["patient"]).isdisjoint(table["patient"])
    assert set(by_id.table["image"]).isdisjoint(table["image"]) and by_id.classes == (197, 43)
    assert by_id.left_out == {
        "unreadable": 7, "same_file": 44, "near_duplicate": 0, "same_patient": 236, "unlabelled": 0,
    }  # fmt: skip
    # Most of its files were saved anew: without the patients' ids, only a look at the images tells.
    some = Cohort(cohort.name, cohort.table.iloc[::6].reset_index(drop=True), cohort.read, data_dir=cohort.data_dir)
    part = build_cache(some, 112)
    by_eye = external_images(some, part, table, paper[1], same_people=False)
    assert set(by_eye.table["image"]) <= set(by_id.table["image"]) and by_eye.left_out["near_duplicate"] > 30


def test_nih_has_none_of_the_papers_images(shared: Path, paper: tuple[Cohort, ImageCache]) -> None:
    cohort = SOURCES["nih_chestxray14"]().cohort(shared / "data" / "nih1000")
    some = Cohort(cohort.name, cohort.table.iloc[::8].reset_index(drop=True), cohort.read, data_dir=cohort.data_dir)
    selected = external_images(some, build_cache(some, 112), known(*paper), paper[1], same_people=False)
    assert len(selected.table) == 125 and not any(selected.left_out.values())
