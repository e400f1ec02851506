"""The search for duplicates: done once in the life of a run, and again where its result is not the cohort's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxrlens
from cxrlens.data.cohort import Cohort
from cxrlens.data.duplicates import Duplicates, find_duplicates
from cxrlens.pipeline import prepare as stage
from cxrlens.pipeline.finished_run import reopen
from cxrlens.pipeline.prepare import cohort_duplicates, decode_images, list_images, prepare
from cxrlens.run_folder import RunFolder
from support.users_folders import folder, study

ROWS = [{"image": f"{row}.png", "patient": f"p{row}", "label": row % 2} for row in range(24)]
COPIES = {"20.png": "3.png", "21.png": "3.png", "22.png": "8.png"}


def write(path: Path, copies: dict[str, str] = COPIES, **patients: str) -> Path:
    """Images of 24 patients, of which `copies` are the file of another patient."""
    rows = [row | {"patient": patients.get(str(row["patient"]), row["patient"])} for row in ROWS]
    folder(path, rows)
    for copy, original in copies.items():
        shutil.copy(path / original, path / copy)
    return path


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each search."""
    counts: list[int] = []

    def search(table: Any, *others: Any) -> Duplicates:
        counts.append(len(table))
        return find_duplicates(table, *others)

    monkeypatch.setattr(stage, "find_duplicates", search)
    return counts


def searched(data: Path, run: RunFolder) -> Duplicates:
    requested = study()
    cohort: Cohort = list_images(requested, data)
    cache = decode_images(cohort, requested.images.reference, requested.images.interpolation)
    return cohort_duplicates(cohort, cache, run)


def test_a_continued_and_a_finished_run_read_what_the_first_search_found(tmp_path: Path, searches: list[int]) -> None:
    data = write(tmp_path / "data")
    run = cxrlens.run(study(), data, out=tmp_path / "run", device="cpu")
    assert searches == [24]
    results = (tmp_path / "run" / "results.json").read_bytes()
    cxrlens.run(study(), data, out=tmp_path / "run", device="cpu")
    groups = reopen(run)[0].groups
    assert searches == [24], "searched again"
    assert (tmp_path / "run" / "results.json").read_bytes() == results
    assert groups == prepare(study(), data).groups and groups["p21"] == "p3" and groups["p22"] == "p8"


def test_what_is_read_is_what_was_found(tmp_path: Path, searches: list[int]) -> None:
    data, run = write(tmp_path / "data"), RunFolder(tmp_path)
    first = searched(data, run)
    assert searched(data, run) == first and searches == [24]
    assert {pair.images for pair in first.pairs} >= {("3.png", "20.png"), ("20.png", "21.png"), ("8.png", "22.png")}
    record = json.loads((tmp_path / "duplicates.json").read_text())
    assert record["pairs"][0] == {"images": ["3.png", "20.png"], "identical": True, "similarity": 1.0}


def change_an_image(data: Path) -> None:
    noise = np.random.default_rng(9).integers(0, 255, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(data / "22.png")


def add_an_image(data: Path) -> None:
    with (data / "labels.csv").open("a") as table:
        table.write("24.png,p24,0\n")
    shutil.copy(data / "5.png", data / "24.png")


def reverse_the_table(data: Path) -> None:
    first, *rows = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join([first, *reversed(rows)]) + "\n")


@pytest.mark.parametrize("change", [change_an_image, add_an_image, reverse_the_table])
def test_a_changed_cohort_is_searched_again(tmp_path: Path, searches: list[int], change: Any) -> None:
    data, run = write(tmp_path / "data"), RunFolder(tmp_path)
    searched(data, run)
    change(data)
    assert searched(data, run) == searched(data, RunFolder(tmp_path / "another"))
    assert len(searches) == 3
    searched(data, run)
    assert len(searches) == 3, "the new result is kept, too"


def test_patients_and_labels_are_the_tables_and_need_no_search(tmp_path: Path, searches: list[int]) -> None:
    run = RunFolder(tmp_path)
    searched(write(tmp_path / "data"), run)
    other = searched(write(tmp_path / "data", p3="somebody"), run)
    assert searches == [24] and other.groups["p21"] == "somebody"
    assert other.pairs[0].patients == ("somebody", "p20") and other.pairs[0].labels == (1.0, 0.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: "",
        lambda record: json.dumps(record)[:-20],
        lambda record: "[]",
        lambda record: json.dumps(record | {"pairs": [{"images": ["3.png", "strange.png"]}]}),
        lambda record: json.dumps(record | {"pairs": [{"images": ["3.png"], "identical": True, "similarity": 1}]}),
        lambda record: json.dumps(record | {"pairs": 3}),
        lambda record: json.dumps({key: record[key] for key in ("made_from", "pairs")}),
    ],
)
def test_a_damaged_result_is_searched_anew(tmp_path: Path, searches: list[int], damage: Any) -> None:
    data, run, file = write(tmp_path / "data"), RunFolder(tmp_path), tmp_path / "duplicates.json"
    first, whole = searched(data, run), file.read_text()
    file.write_text(damage(json.loads(whole)))
    assert searched(data, run) == first and len(searches) == 2
    assert file.read_text() == whole


def test_a_run_that_cannot_be_written_is_searched_all_the_same(
    tmp_path: Path, searches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise cxrlens.UserError("cannot write")

    data = write(tmp_path / "data")
    monkeypatch.setattr(RunFolder, "write_json", refuse)
    assert searched(data, RunFolder(tmp_path)).groups["p22"] == "p8"
