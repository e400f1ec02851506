"""Names are shown as they are on the terminal, and no encoding of it ends a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cxrlens.cli.progress import Bars
from cxrlens.cli.terminal import say
from cxrlens.report.tables import Fitted
from support.handmade_run import predictions, run_folder

ODD = "_[/red] [bold]x[/] $a_1$ – 肺 → é"


def cxrlens(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHONIO", "PYTHONUTF8", "LC_"))
    }
    return subprocess.run([sys.executable, "-m", "cxrlens", *words], env=plain | environment, capture_output=True)


def renamed(folder: Path) -> Path:
    """A run whose stronger model has an odd name."""
    path = run_folder(folder, predictions().replace({"model": {"strong": ODD}}))
    study = path / "study.toml"
    study.write_text(study.read_text(encoding="utf-8").replace('"strong"', f"'{ODD}'"), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "locale",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_terminal_that_lacks_signs_gets_others(locale: dict[str, str], tmp_path: Path) -> None:
    runs = str(renamed(tmp_path / "röntgen")), str(run_folder(tmp_path / "b"))
    for words in (("report", runs[0]), ("compare", *runs), ("compare", *runs, "--json")):
        done = cxrlens(*words, **locale)
        assert b"Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(locale.get("PYTHONIOENCODING", "ascii"))
        if "--json" in words:
            assert ODD in {each["model"] for each in json.loads(text)["aucs"]}
        elif words[0] == "compare":
            assert "[/red]" in text and "$a_1$" in text and "?" in text


def test_a_file_of_an_old_code_page_is_named_in_an_error(tmp_path: Path) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("names are text there")
    (tmp_path / os.fsdecode(b"r\xf6ntgen.toml")).write_text("name = 3")
    done = subprocess.run([sys.executable, "-m", "cxrlens", "run", os.fsencode(tmp_path) + b"/r\xf6ntgen.toml"],
                          capture_output=True)  # fmt: skip
    assert done.returncode == 2 and b"r%F6ntgen.toml" in done.stderr and b"Traceback" not in done.stderr


def test_brackets_are_brackets_and_escapes_move_no_cursor(capsys) -> None:
    console = Console(width=100)
    say(console, "a[pa] [/x] [red]b[/] \x1b[2J\\")
    console.print(Fitted("t", ["[m]", "AUC"], [["net [all]\x07", "0.5 [0.4, 0.6]"]]))
    output = capsys.readouterr().out
    assert "a[pa] [/x] [red]b[/] \\x1b[2J\\\n" in output
    assert "[m]" in output and "net [all]\\x07" in output and "\x1b" not in output
    narrow = Console(width=24)
    narrow.print(Fitted("t", ["model", "AUC"], [["net [all] − b [c]", "0.5 [0.4, 0.6]"]]))
    assert "net [all]" in capsys.readouterr().out, "a bracket in a name begins no interval"


def test_a_bars_title_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = Bars()
    with bars.task("net [/frozen] \x1b", 2) as task:
        task.update(1, model="[/x]")
        for column in bars.bars.columns:
            column(bars.bars.tasks[0])


def test_a_log_gets_a_line_after_ten_seconds_of_silence_and_no_bars(capsys) -> None:
    now = [0.0]
    bars = Bars(lambda: now[0])
    printed: list[str] = []

    def wait(seconds: int) -> list[str]:
        for _ in range(seconds):
            now[0] += 1
            bars.break_silence()
        printed[:] = capsys.readouterr().err.splitlines()
        return printed

    assert wait(9) == [] and wait(1) == ["[0:10] working"]
    with bars.task("networks", 4), bars.task("small [b]net[/b] (seed 0)", 160) as task:
        task.update(64, epoch=4, loss=0.6)
        assert wait(9) == []
        bars.say("a line of its own")
        assert wait(9) == ["a line of its own"] and wait(2) == [
            "[0:29] small [b]net[/b] (seed 0): 64 of 160, epoch 4 · loss 0.600"
        ]
    with bars.task("writing the report", 1):
        assert wait(60) == [f"[{at // 60}:{at % 60:02}] writing the report" for at in range(39, 90, 10)]


def test_the_lines_of_a_log_come_by_themselves(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrlens.cli.progress.QUIET", 0.01)
    with Bars() as bars, bars.task("reading images", 3) as task:
        task.update(2)
        time.sleep(1.5)
    assert capsys.readouterr().err.startswith("[0:01] reading images: 2 of 3")


def test_python_m_and_completion_know_the_programs_name() -> None:
    done = cxrlens("--help", COLUMNS="100")
    assert b"Usage: cxrlens [OPTIONS] COMMAND" in done.stdout and b"--install-completion" in done.stdout
    known = cxrlens(_CXRLENS_COMPLETE="complete_bash", COMP_WORDS="cxrlens pre", COMP_CWORD="1").stdout.split()
    assert known == [b"predict", b"pretrain"]
    requested = cxrlens(
        "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )  # any parent will do
    assert b"_CXRLENS_COMPLETE=complete_bash" in requested.stdout


def test_a_check_names_three_pairs_and_json_has_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 255, (70, 70), dtype=np.uint8)
        for place, label in enumerate(("positive", "normal")):
            (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
            if place and number % 2:
                pixels = rng.integers(0, 255, (70, 70), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{label}[{number}].png")
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[data]\nsource = "image_folder"\n[images]\nsize = 64\n[explain]\nfigures = []\n'
        '[[models]]\nname = "m"\n'
    )
    words = ("data", "check", str(study), "--data", str(tmp_path / "data"))
    told = cxrlens(*words).stdout.decode()
    assert "images per patient: 1 (" in told and " patients)" in told
    header = " ".join(told[told.index("split: ") : told.index("Faults")].split())
    assert {"patients", "in", "both", "their"} <= set(header.split())
    assert told.count("two labels for one image") == 3 and "9 more pairs" in told
    sentence = next(line for line in told.splitlines() if "under two patient ids" in line)
    assert sentence.count(" = ") == 3 and "and 9 more; --json has them all" in sentence and "[" in sentence
    result = json.loads(cxrlens(*words, "--json").stdout)
    assert len(result["duplicates"]) == 12 and len(result["one_patient_under_ids"]) == 12
