"""No command writes over what it reads, nor over what it did not write, unless that is asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

import cxrlens
from cxrlens.errors import UserError
from cxrlens.outputs import check_folder, check_output, picture_by, table_of
from cxrlens.pipeline.external import ExternalResult, check_external, write_external
from cxrlens.report.figures import save
from cxrlens.run_folder import RunFolder
from support.handmade_run import run_folder


@pytest.fixture
def run(tmp_path: Path) -> cxrlens.Run:
    return cxrlens.Run.open(run_folder(tmp_path / "run"))


@pytest.fixture
def xray(tmp_path: Path) -> Path:
    path = tmp_path / "p1.png"
    Image.fromarray(np.arange(6400, dtype=np.uint8).reshape(80, 80)).save(path)
    return path


@pytest.mark.parametrize("out", ["p1.pdf", "p1", "p1.png", "P1.PNG", "./p1.png", "here/p1.pdf", "link.png", "hard"])
def test_explain_never_draws_over_the_image_that_it_explains(out: str, run, xray: Path) -> None:
    here = xray.parent / "here"
    here.symlink_to(xray.parent)
    (xray.parent / "link.png").symlink_to(xray)
    os.link(xray, xray.parent / "hard.png")
    before = xray.read_bytes()
    if out == "P1.PNG" and not (xray.parent / "P1.png").exists():
        pytest.skip("capitals count on this file system")
    for force in (False, True):
        with pytest.raises(UserError, match=r"would overwrite .*, which this command reads"):
            run.explain([xray], out=xray.parent / out, force=force)
    assert xray.read_bytes() == before and not (xray.parent / "p1.pdf").exists()


def test_explain_leaves_strangers_files_and_folders_alone(run, xray: Path) -> None:
    other = xray.with_name("notes.pdf")
    other.write_bytes(b"%PDF-1.4 of somebody's")
    with pytest.raises(UserError, match=r"notes\.pdf exists already.*--force"):
        run.explain([xray], out=other)
    patients = xray.parent / "patients"
    patients.mkdir()
    (patients / "a.png").write_bytes(b"an X-ray")
    with pytest.raises(UserError, match=r"which holds other files \(a\.png\); .* such as .*explained"):
        run.explain([xray], out=patients)
    with pytest.raises(UserError, match=r"PNG and PDF; give --out a name that ends in \.png"):
        run.explain([xray], out=xray.with_name("maps.jpg"))
    assert sorted(path.name for path in xray.parent.iterdir()) == ["notes.pdf", "p1.png", "patients", "run"]


def test_an_own_earlier_picture_is_drawn_over_and_dots_are_part_of_its_name(tmp_path: Path) -> None:
    for _ in range(2):
        for name in ("maps.v1.2.png", "maps.v1.2.pdf"):
            check_output(tmp_path / name, "the figure", picture_by("explain"))
        save(Figure(), tmp_path / "maps.v1.2", "explain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.v1.2.pdf", "maps.v1.2.png"]
    with pytest.raises(UserError, match="not an earlier result"):
        check_output(tmp_path / "maps.v1.2.png", "the sheet", picture_by("augment-sheet"))


def test_a_table_beside_the_result_is_safe_too(run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / "labels.csv"
    table.write_text("image,label\n")
    with pytest.raises(UserError, match=r"labels\.csv exists already"):
        check_external(run, tmp_path / "data" / "labels.json")
    with pytest.raises(UserError, match=r"labels\.csv, which this command reads"):
        check_external(run, tmp_path / "data" / "labels.json", folders=[tmp_path / "data"], force=True)
    for force in (False, True):
        with pytest.raises(UserError, match=r"predictions\.csv, which this command reads"):
            check_external(run, run.folder.path / "predictions.json", force=force)
    check_external(run, table.with_name("labels.v2.json"))


def test_a_table_is_known_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('image,"a, b",problem\n')
    assert table_of(["image", "a, b", "problem"])(path)
    assert not table_of(["image", "c", "problem"])(path)
    path.write_bytes(b"\xff\xfe\0image,label")
    assert not table_of(["image"])(path)


@pytest.mark.parametrize("name", ["study.toml", "results.json", "cohort.csv"])
def test_no_file_of_a_run_is_written_over_by_a_page_or_a_sheet(name: str, run) -> None:
    path = run.folder.path / name
    with pytest.raises(UserError, match="which this command reads"):
        check_output(path, "the table", lambda _: True, run.folder.own_files(), force=True)
    with pytest.raises(UserError, match="exists already"):
        other = run.folder.path / "mine.html"
        other.write_text("<html>mine")
        run.report(other)
    run.report(run.folder.path / "page.html")
    run.report(run.folder.path / "page.html")


def test_a_run_takes_an_empty_folder_or_its_own_and_no_other(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "cohort.csv").write_text("my own table")
    study = cxrlens.Study.of({"name": "s", "data": {"source": "phantom"}, "models": [{"name": "m"}]})
    with pytest.raises(UserError, match=r"is not a run folder and is not empty \(cohort\.csv\)"):
        cxrlens.run(study, out=mine)
    assert [path.name for path in mine.iterdir()] == ["cohort.csv"]
    with pytest.raises(UserError, match="is a file"):
        cxrlens.run(study, out=mine / "cohort.csv")
    with RunFolder(tmp_path / "new").locked("run"):
        pass
    check_folder(tmp_path / "new", "run")
    with pytest.raises(UserError, match="a run folder, not a pretraining folder"):
        RunFolder(tmp_path / "new").locked("pretraining").__enter__()
    with RunFolder(run_folder(tmp_path / "old")).locked("run"):  # made before folders said what they are
        pass


def test_a_folder_where_a_file_is_due_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder, but the table is a file; name a file in it"):
        check_output(tmp_path, "the table", lambda _: True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        check_output(tmp_path / "file" / "a.csv", "the table", lambda _: True)
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="exists already"):
        check_output(tmp_path / "gone.csv", "the table", lambda path: path.exists())
    check_output(tmp_path / "new" / "folders" / "a.csv", "the table", lambda _: False)


@pytest.mark.parametrize("name", ["x" * 300, "é" * 200, "a\0b"])
def test_a_name_that_no_file_can_have_is_said_not_a_traceback(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^cannot write .*; choose another --out$"):
        check_output(tmp_path / f"{name}.csv", "the table", table_of(["image"]))
    with pytest.raises(UserError, match=r"^cannot write .*; choose another --out$"):
        check_folder(tmp_path / name, "run")


@pytest.mark.parametrize("out", [".", "..", "here/.."])
def test_explain_says_that_a_folder_without_a_name_is_no_figure(out: str, run, xray: Path, monkeypatch) -> None:
    monkeypatch.chdir(xray.parent)
    with pytest.raises(UserError, match=r"is a folder, but the figure is a file"):
        run.explain([xray], out=out)


def test_the_maps_of_a_runs_gallery_are_the_runs_own(run, xray: Path) -> None:
    maps = run.folder.path / "maps"
    maps.mkdir(exist_ok=True)
    for name in ("images", "weak", "strong"):
        (maps / f"{name}.npz").write_bytes(b"of the gallery")
    with pytest.raises(UserError, match=r"would overwrite .*maps"):
        run.explain([xray], out=maps, force=True)
    assert {path.read_bytes() for path in maps.iterdir()} == {b"of the gallery"}


@pytest.mark.parametrize("kind", [str, Path])
def test_one_image_given_alone_is_that_image_and_not_its_letters(kind: type, run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no such image or folder: .*nowhere\.png"):
        run.predict(kind(tmp_path / "nowhere.png"))
    with pytest.raises(UserError, match=r"nowhere\.png"):
        run.explain(kind(tmp_path / "nowhere.png"), out=tmp_path / "out.png")


@pytest.mark.parametrize("work", [cxrlens.augment_sheet, cxrlens.augment_search])
def test_a_path_may_be_a_string(work, run, tmp_path: Path) -> None:
    (tmp_path / "sheet.png").write_bytes(b"somebody's")
    with pytest.raises(UserError, match="sheet"):
        work(run.study, str(tmp_path), out=str(tmp_path / "sheet.png"))


class _Found(ExternalResult):
    def to_json(self) -> dict:
        return {"data": {"name": self.name}, "place": self.place}


def test_another_folder_of_the_same_name_does_not_take_the_first_ones_result(run) -> None:
    def found(place: str) -> ExternalResult:
        rest = dict.fromkeys(("data", "study", "images", "models", "evaluation"))
        return _Found("images", **rest, predictions=pd.DataFrame({"image": [place]}), place=place)

    written = [write_external(run, found(place)).file for place in ("a", "b", "a", "b")]
    assert written[0] == written[2] != written[1] == written[3]
    output = [json.loads(path.read_text()) for path in written[:2]]
    assert [one["data"]["name"] for one in output] == ["images", "images 2"]
    assert [pd.read_csv(path.with_suffix(".csv"))["image"][0] for path in written[:2]] == ["a", "b"]
