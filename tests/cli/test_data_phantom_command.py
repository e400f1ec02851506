"""`cxrlens data phantom` writes a set that a table reader can use."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cxrlens.cli.data import phantom
from cxrlens.errors import UserError


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(phantom)
    return app


def test_the_command_writes_what_it_says(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--out", str(tmp_path / "set"), "--patients", "2", "--size", "64"])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "set" / "cohort.csv")
    assert f"{len(table)} images of 2 patients" in done.output.replace("\n", " ")
    assert all((tmp_path / "set" / path).is_file() for path in table["path"])


def test_an_option_out_of_range_is_named(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--out", str(tmp_path / "set"), "--prevalence", "2"])
    assert isinstance(done.exception, UserError) and "prevalence" in str(done.exception)
    assert not (tmp_path / "set").exists()
