"""A patient whom no source names is nobody else's, and a run finds its images from any folder."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app
from cxrlens.data.cohort import cohort_table, known_patients
from cxrlens.data.split import patients_warning
from cxrlens.pipeline.external import evaluate_external
from support.users_folders import folder, study, study_file


def rows(patients: bool | str, count: int = 24) -> list[dict[str, object]]:
    """Half of each class; "some" has a patient in every other row."""
    result: list[dict[str, object]] = []
    for number in range(count):
        named = patients is True or (patients == "some" and number // 2 % 2 == 0)
        patient = {"patient": f"P{number // 4}" if named else ""} if patients else {}
        result.append({"image": f"img/{number:03}.png", "label": number % 2, **patient})
    return result


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    base = tmp_path_factory.mktemp("inside")
    return cxrlens.run(study(), folder(base / "a", rows(False)), out=base / "run", device="cpu")


def test_files_of_one_name_in_two_hospitals_are_not_one_patient(inside: cxrlens.Run, tmp_path: Path) -> None:
    result = evaluate_external(inside, folder(tmp_path, rows(False), seed=1), device="cpu")
    assert result.images.left_out == dict.fromkeys(result.images.left_out, 0)
    assert (len(result.predictions), result.images.classes) == (24, (12, 12))
    assert result.predictions["patient"].nunique() == 24


def test_the_same_files_are_still_left_out_whatever_their_names(inside: cxrlens.Run, tmp_path: Path) -> None:
    folder(tmp_path, rows(False), seed=1)
    own = Path(json.loads((inside.folder.path / "environment.json").read_text())["data"])
    for number in range(6):  # the same names, and a name of another's
        name = f"img/{number:03}.png"
        (tmp_path / name).write_bytes((own / (name if number < 4 else f"img/{number + 9:03}.png")).read_bytes())
    result = evaluate_external(inside, tmp_path, device="cpu")
    assert result.images.left_out["same_file"] == 6 and len(result.images.table) == 18


def test_patients_whom_both_sets_name_are_one_and_those_whom_one_names_are_not(tmp_path: Path) -> None:
    made = cxrlens.run(study(), folder(tmp_path / "a", rows("some")), out=tmp_path / "run", device="cpu")
    assert known_patients(made.cohort).tolist() == [number // 2 % 2 == 0 for number in range(24)]
    assert any("the patient of 12 of 24 images is not known" in each for each in made.results["warnings"])
    other = rows("some")
    for row in other[12:]:
        row["patient"] = "img/003.png" if row["patient"] else ""  # a known patient who is called as a file there
    result = evaluate_external(made, folder(tmp_path / "b", other, seed=1), device="cpu")
    assert result.images.left_out["same_patient"] == 6  # P0, P1 and P2 of the first 12 rows
    assert {*result.images.groups.values()}.isdisjoint({*made.cohort["patient"][~known_patients(made.cohort)]})


def test_a_run_of_an_earlier_version_tells_unknown_patients_by_their_names(inside: cxrlens.Run, tmp_path: Path) -> None:
    old = inside.cohort.drop(columns="patient_known")
    assert not known_patients(old).any() and known_patients(old.assign(patient="P")).all()


def test_an_unknown_patient_is_not_a_known_one_who_is_called_as_the_image() -> None:
    table = cohort_table(pd.DataFrame({"image": ["7", "8", "9"], "patient": [None, "7", "7"], "label": [0, 1, 1]}))
    assert table["patient"].tolist() == ["7 (patient unknown)", "7", "7"]
    assert table["patient_known"].tolist() == [False, True, True]
    assert "the patient of 1 of 3 images is not known" in (patients_warning(table) or "")


def test_a_column_of_the_users_own_that_is_called_so_is_kept_beside() -> None:
    table = cohort_table(pd.DataFrame({"image": ["a"], "patient_known": ["by whom?"]}))
    assert (table["patient_known"][0], table["table_patient_known"][0]) == (False, "by whom?")


def test_a_relative_data_folder_is_found_from_another_folder_and_stays_off_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, away = tmp_path / "home-of-a-user", tmp_path / "away"
    folder(home / "xrays", rows(True))
    away.mkdir()
    file = study_file(home / "s.toml")
    monkeypatch.chdir(home)
    done = CliRunner().invoke(app, ["run", str(file), "--data", "xrays", "--out", "out"], catch_exceptions=False)
    assert done.exit_code == 0
    made = json.loads((home / "out" / "environment.json").read_text())
    assert (made["data"], made["study_dir"]) == (str(home / "xrays"), str(home))
    monkeypatch.chdir(away)
    folder(away / "others", rows(False), seed=1)
    requested = ["evaluate", str(home / "out"), "--data", "others"]
    output = CliRunner().invoke(app, requested, catch_exceptions=False)
    assert output.exit_code == 0 and "not where they were" not in output.output
    assert "home-of-a-user" not in (home / "out" / "report.html").read_text()
