"""The page of the command line says what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from cxrlens.cli.main import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("command_line", ROOT / "tools" / "command_line.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_code_says(tool: Any, page: str) -> None:
    assert page == tool.page(), "python tools/command_line.py writes docs/command-line.md anew"


def test_every_command_and_every_option_of_the_help_is_on_the_page(page: str) -> None:
    sections = dict(re.findall(r"^## (cxrlens .+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert len(sections) >= 19
    for name, section in sections.items():
        output = CliRunner().invoke(app, [*name.split()[1:], "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
        assert output.exit_code == 0, name
        requested = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub(r"\x1b\[[0-9;]*m", "", output.output))) - {
            "--help"
        }
        assert {each for each in requested if f"`{each}`" not in section} == set(), name


def test_every_option_has_its_words_and_a_type(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 70 and not [row for row in rows if row.endswith("|  |") or "|  |" in row]


def test_types_and_defaults_are_said_in_words(tool: Any) -> None:
    small = typer.Typer(add_completion=False)

    @small.command()
    def paint(
        files: Annotated[list[Path], typer.Argument(help="Pictures.")],
        colour: Annotated[Literal["red", "blue"], typer.Option(help="Of the paint.")] = "red",
        coats: Annotated[int | None, typer.Option(help="How many.")] = None,
        also: Annotated[list[str] | None, typer.Option(help="What else.")] = None,
        dry: Annotated[bool, typer.Option("--dry", help="Wait.")] = False,
    ) -> None:
        """Paint."""

    command = typer.main.get_command(small)
    assert [tool._row(each, command) for each in command.params] == [
        ["`FILES`", "paths", "needed", "Pictures."],
        ["`--colour`", "`red` or `blue`", "`red`", "Of the paint."],
        ["`--coats`", "whole number", "none", "How many."],
        ["`--also`", "text, may be repeated", "none", "What else."],
        ["`--dry`", "flag", "off", "Wait."],
    ]
    assert tool._usage("paint", command) == "paint FILES... [OPTIONS]"
