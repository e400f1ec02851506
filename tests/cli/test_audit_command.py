"""`cxrlens audit`: what it asks of the pipeline and what a person reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from cxrlens.cli.audit import audit, show
from cxrlens.errors import UserError
from cxrlens.pipeline.interface import Audit, Run
from cxrlens.report.audit_words import NOTICE

NAME = "[bold]network[/], \\"
SUMMARY = {
    "cohort": {"name": "The images", "auc": "", "headline": "Nothing was shown.", "flags": 0, "points": [], "next": []},
    "models": [
        {
            "name": NAME, "auc": "AUC 0.81 [0.70, 0.90]", "headline": "This model may be using marks in the corners.",
            "flags": 1, "points": ["With the corners filled in, the AUC goes from 0.81 to 0.52 [0.40, 0.61]."],
            "next": ["Fill or crop the corners, train again and compare."],
        }
    ],
    "notice": NOTICE,
}  # fmt: skip


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(audit)
    return app


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the pipeline was asked; `tmp_path` passes for a finished run."""
    seen: list[Any] = []

    def stage(run: Run, data: Path | None, *, progress: Any, **options: Any) -> Audit:
        seen.append((run.folder.path, data, options))
        return Audit(run.folder.path, {"summary": SUMMARY})

    (tmp_path / "results.json").write_text("{}")
    monkeypatch.setattr(Run, "audit", stage)
    return seen


def test_the_page_is_printed_and_the_notice_is_its_last_word(
    app: typer.Typer, asked: list[Any], tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith(NOTICE)
    lines = done.stdout.splitlines()
    assert f"{NAME} (AUC 0.81 [0.70, 0.90])" in lines and "This model may be using marks in the corners." in lines
    assert "  • With the corners filled in, the AUC goes from 0.81 to 0.52 [0.40, 0.61]." in lines
    assert "  → Fill or crop the corners, train again and compare." in lines
    assert f"all results: {tmp_path / 'audit.json'}" in done.stdout
    assert asked == [(tmp_path, None, {"also": (), "full": False, "device": "auto"})]


def test_what_is_asked_reaches_the_pipeline(app: typer.Typer, asked: list[Any], tmp_path: Path) -> None:
    words = ["--data", "x", "--also", "lungs_removed_retrained", "--also", "permuted_labels_retrained", "--full"]
    assert CliRunner().invoke(app, [str(tmp_path), *words, "--device", "cpu"]).exit_code == 0
    named = ["lungs_removed_retrained", "permuted_labels_retrained"]
    assert asked == [(tmp_path, Path("x"), {"also": named, "full": True, "device": "cpu"})]


def test_only_what_is_flagged_stands_out() -> None:
    written = io.StringIO()
    show(SUMMARY, Console(file=written, force_terminal=True, color_system="standard", width=200))
    lines = written.getvalue().splitlines()
    assert [("\x1b[33m" in line) for line in lines if "headline" in line or "may be" in line or "shown" in line] == [
        False, True,
    ]  # fmt: skip


def test_an_interrupt_says_that_the_same_command_goes_on(
    app: typer.Typer, asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "audit", stop)
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert done.exit_code == 130 and "the same command continues" in done.stderr and not done.stdout


def test_a_folder_that_is_no_run_is_named(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(tmp_path / "gone")])
    assert isinstance(done.exception, UserError) and "not a finished run" in str(done.exception)
