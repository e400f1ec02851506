"""The command line as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cxrlens.cli import main as entry


def run(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["cxrlens", *words])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    return int(stopped.value.code or 0)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; import cxrlens.cli.main as m; sys.argv = ['cxrlens', '--help']\n"
        "try: m.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'sklearn', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("run", "predict", "data", "augment-search"))


def test_a_report_loads_no_library_of_networks() -> None:
    code = (
        "import sys; import cxrlens.cli.report, cxrlens.pipeline.report\n"
        "heavy = {'timm', 'torchvision', 'torch._dynamo'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_users_error_is_one_paragraph_without_a_traceback(monkeypatch, capsys, tmp_path: Path) -> None:
    assert run("run", str(tmp_path / "gone.toml"), monkeypatch=monkeypatch) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: cannot read the file") and "Traceback" not in output.err and not output.out


def test_a_dry_run_says_what_would_run_and_makes_no_folder(monkeypatch, capsys, tmp_path: Path) -> None:
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[data]\nsource = "phantom"\npatients = 12\nsize = 64\n[images]\nsize = 64\n'
        "[explain]\nfigures = []\n"
        '[[models]]\nname = "m"\nbackbone = "tf_efficientnet_lite0"\nhead = "linear"\nepochs = 1\n'
    )
    code = run("run", str(study), "--out", str(tmp_path / "out"), "--dry-run", monkeypatch=monkeypatch)
    out = " ".join(capsys.readouterr().out.split())
    assert code == 0 and "What would run" in out and "in all" in out and "memory at most" in out
    assert not (tmp_path / "out").exists()
    assert "size" not in out
    study.write_text(study.read_text() + '[[models]]\nname = "n"\nbackbone = "tf_efficientnet_lite0"\nsize = 96\n')
    assert run("run", str(study), "--dry-run", monkeypatch=monkeypatch) == 0
    assert "model size steps" in " ".join(capsys.readouterr().out.split())


def test_predict_lists_what_it_could_not_read_and_fails_only_where_that_is_asked(
    monkeypatch, capsys, tmp_path: Path
) -> None:
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[data]\nsource = "phantom"\npatients = 12\nsize = 64\n[images]\nsize = 64\n'
        "[explain]\nfigures = []\n"
        '[[models]]\nname = "m"\nbackbone = "tf_efficientnet_lite0"\nhead = "linear"\n'
        "epochs = 1\nsteps = 1\n"
    )
    command = ("run", str(study), "--out", str(tmp_path / "out"), "--device", "cpu")
    monkeypatch.setattr(sys, "argv", ["cxrlens", *command])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    assert not stopped.value.code
    assert run("data", "phantom", "--out", str(tmp_path / "new"), "--patients", "2", monkeypatch=monkeypatch) == 0
    (tmp_path / "new" / "images" / "page.png").write_text("<html>")
    capsys.readouterr()
    words = ("predict", str(tmp_path / "out"), str(tmp_path / "new" / "images"), "--out", str(tmp_path / "p.csv"))
    assert run(*words, monkeypatch=monkeypatch) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "page.png: an HTML page, not an image" in output and "never for diagnosis" in output
    assert (tmp_path / "p.csv").read_text().startswith("image,m,problem")
    assert run(*words, "--strict", monkeypatch=monkeypatch) == 1


def test_a_check_prints_one_object_whose_cohort_is_that_of_the_results(monkeypatch, capsys, tmp_path: Path) -> None:
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[data]\nsource = "phantom"\npatients = 12\nsize = 64\n[images]\nsize = 64\n'
        "[explain]\nfigures = []\n"
        '[[models]]\nname = "m"\n'
    )
    assert run("data", "check", str(study), "--json", monkeypatch=monkeypatch) == 0
    output = capsys.readouterr()
    assert list(json.loads(output.out)["cohort"]) == [
        "images", "positive", "negative", "patients", "train", "validation", "validation_images_of_training_patients",
        "validation_patients_in_training", "missing",
    ]  # fmt: skip
    assert not output.err, "a pipe gets no bars"
    assert run("data", "check", str(study), "--sheet", str(tmp_path / "s.doc"), monkeypatch=monkeypatch) == 2
    assert "ends in .png, .pdf, .svg" in capsys.readouterr().err
    assert run("data", "check", str(study), "--sheet", str(study / "s.png"), monkeypatch=monkeypatch) == 2
    assert "cannot write" in capsys.readouterr().err


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, name))


COMMANDS = dict(_commands(typer.main.get_command(entry.app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_word_of_a_help_text_is_printed(words: tuple[str, ...], monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    run(*words, "--help", monkeypatch=monkeypatch)
    printed = "".join(sign for sign in capsys.readouterr().out if sign not in "│╭╮╰╯─").split()
    command = COMMANDS[words]
    for text in [command.help, *(getattr(each, "help", None) for each in command.params)]:
        for word in (text or "").replace("\\[", "[").split():  # an escaped bracket is shown as a bracket
            assert word.strip(".,;") in " ".join(printed), word


def test_a_table_of_the_study_file_is_named_in_a_help_text(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run("evaluate", "--help", monkeypatch=monkeypatch)
    assert "A study file whose [data] says how the other images" in capsys.readouterr().out


def test_help_says_what_is_taken_where_nothing_is_given(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run("run", "--help", monkeypatch=monkeypatch)
    assert "by default runs/NAME" in capsys.readouterr().out
