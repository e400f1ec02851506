"""`cxrlens report` and `cxrlens compare` as a person meets them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

import cxrlens
from cxrlens.cli import main as entry
from support.handmade_run import IMAGES, PATIENTS, predictions, run_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "a run é")


def run(*words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["cxrlens", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    return int(stopped.value.code or 0)


def test_the_page_is_made_from_the_folder_alone_and_licences_are_told(monkeypatch, capsys, folder: Path) -> None:
    assert run("report", folder, monkeypatch=monkeypatch) == 0
    output = capsys.readouterr()
    assert re.search(rf"report: {re.escape(str(folder))}/report\.html \(\d+\.\d MB\)", output.out)
    start = "warning: 19 of the 39 images that this page may show have no licence that is known to allow sharing: "
    assert start in output.err
    assert "10 without a licence (no licence is stated); 9 “ask the author”" in output.err
    assert "terms of CC BY-NC-SA, 10 images: not for commercial use" in output.err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png') == 3 and PATIENTS[0] in page
    assert (folder / "tables" / "table1.tex").is_file()


def test_what_must_not_leave_is_not_on_the_page_and_the_whole_page_stays(monkeypatch, capsys, folder: Path) -> None:
    assert run("report", folder, monkeypatch=monkeypatch) == 0
    before = (folder / "report.html").read_bytes()
    capsys.readouterr()
    words = ("report", folder, "--no-images", "--no-notes", "--rename")
    assert run(*words, monkeypatch=monkeypatch) == 0
    output = capsys.readouterr()
    assert "not anonymous" in output.err and "warning" not in output.err and "left out: figure1, figure3" in output.err
    assert "report-shared.html" in output.out and (folder / "report.html").read_bytes() == before
    page = (folder / "report-shared.html").read_text(encoding="utf-8")
    assert not [name for name in (*IMAGES, *PATIENTS) if name in page or name.replace("&", "&amp;") in page]
    assert page.count('src="data:image/') == 1 and "coughs" not in page and "patient 1" in page


def test_out_says_where_and_is_html(monkeypatch, capsys, folder: Path, tmp_path: Path) -> None:
    assert run("report", folder, "--out", tmp_path / "there" / "p.html", monkeypatch=monkeypatch) == 0
    assert (tmp_path / "there" / "p.html").is_file() and not (folder / "report.html").exists()
    capsys.readouterr()
    assert run("report", folder, "--out", tmp_path / "p.pdf", monkeypatch=monkeypatch) == 2
    assert "ends in .html; got p.pdf" in capsys.readouterr().err
    assert run("report", tmp_path, monkeypatch=monkeypatch) == 2
    assert "it is not a finished run" in capsys.readouterr().err


def test_in_python_nothing_is_printed(folder: Path, capsys) -> None:
    path = cxrlens.Run.open(folder).report(names=False)
    assert path == folder / "report-shared.html" and capsys.readouterr() == ("", "")


def test_runs_are_compared_on_the_terminal(monkeypatch, capsys, folder: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    other = run_folder(tmp_path / "other", predictions(1), row="epochs = 7")
    assert run("compare", folder, other, monkeypatch=monkeypatch) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Differences on the same images" in out and "Holm's correction over 2 differences" in out
    assert "Settings that differ: 1 models.strong.epochs: " in out and "patient (3 images leak)" in out


def test_json_is_one_object_and_files_hold_the_same(monkeypatch, capsys, folder: Path, tmp_path: Path) -> None:
    other = run_folder(tmp_path / "other", predictions(1))
    csv, markdown = tmp_path / "c.csv", tmp_path / "c.md"
    assert run("compare", folder, other, "--json", "--out", csv, monkeypatch=monkeypatch) == 0
    output = json.loads(capsys.readouterr().out)
    table = pd.read_csv(csv)
    assert len(table) == 6 and table["value"][4] == pytest.approx(output["differences"][0]["difference"], abs=1e-6)
    assert run("compare", folder, other, "--out", markdown, monkeypatch=monkeypatch) == 0
    assert markdown.read_text(encoding="utf-8").startswith(
        "# Runs side by side\n\n| AUC [interval] | a run é | other |"
    )
    capsys.readouterr()
    assert run("compare", folder, other, "--out", tmp_path / "c.txt", monkeypatch=monkeypatch) == 2
    assert "ends in .csv or .md" in capsys.readouterr().err
    assert run("compare", folder, monkeypatch=monkeypatch) == 2
    assert "at least two runs" in capsys.readouterr().err
