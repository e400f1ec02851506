"""Writes docs/command-line.md: every command with its arguments and options, from the code that reads them.

The words are the help's own; the type of an option comes from the command's signature. `tests/docs` compares them.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import typer.main
from rich.text import Text

from cxrlens.cli.main import app
from cxrlens.report.tables import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"
HEAD = """# The command line

`cxrlens --help` lists the commands, and `--help` after a command prints its part of this page. A command that cannot do
what was asked says why in one paragraph and exits with status 2. After Ctrl-C the status is 130.

This page is written by `python tools/command_line.py` from the code that reads the commands.
"""
WORDS = {Path: "path", str: "text", int: "whole number", float: "number"}


def page() -> str:
    """The page as Markdown."""
    found = list(commands(typer.main.get_command(app), "cxrlens"))
    parts = [HEAD]
    parts.append(markdown_table(["command", "what it does"], [_line(*each) for each in found], words=True, markup=True))
    for name, command in found:
        parts += [f"\n## {name}\n", _text(command.help), "", f"```text\n{_usage(name, command)}\n```"]
        for title, kind in (("argument", "argument"), ("option", "option")):
            rows = [_row(each, command) for each in command.params if each.param_type_name == kind and not each.hidden]
            if rows:
                parts += ["", markdown_table([title, "type", "default", "what it says"], rows, words=True, markup=True)]
    return "\n".join(parts).rstrip("\n") + "\n"


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command below one, by its whole name, in the order of the help."""
    for word, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from commands(each, f"{name} {word}")
        elif not each.hidden:
            yield f"{name} {word}", each


def _line(name: str, command: Any) -> list[str]:
    return [f"[`{name}`](#{name.replace(' ', '-')})", _text(command.help)]


def _text(told: str | None) -> str:
    """The help's words as one paragraph each, as the terminal shows them: rich reads them as its markup."""
    shown = Text.from_markup(inspect.cleandoc(told or "")).plain
    return "\n\n".join(" ".join(each.split()) for each in shown.split("\n\n"))


def _usage(name: str, command: Any) -> str:
    words = [name]
    for each in command.params:
        if each.param_type_name == "argument":
            word = each.name.upper() + ("..." if each.nargs != 1 else "")
            words.append(word if each.required else f"[{word}]")
        elif each.required and not each.hidden:
            words.append(f"{each.opts[0]} {each.name.upper()}")
    options = any(each.param_type_name == "option" and not each.required for each in command.params)
    return " ".join([*words, "[OPTIONS]"] if options else words)


def _row(each: Any, command: Any) -> list[str]:
    names = [each.name.upper()] if each.param_type_name == "argument" else [*each.opts, *each.secondary_opts]
    kind, many = _type(typing.get_type_hints(inspect.unwrap(command.callback))[each.name])
    words = f"{kind}s" if many and each.nargs != 1 else f"{kind}, may be repeated" if many else kind
    return [", ".join(f"`{name}`" for name in names), words, _default(each, kind), _text(each.help)]


def _default(each: Any, kind: str) -> str:
    if each.required:
        return "needed"
    if kind == "flag":
        return "on" if each.default else "off"
    if each.default is None or each.default in ((), []):
        return "none"
    return f"`{each.default.value if isinstance(each.default, Enum) else each.default}`"


def _type(hint: Any) -> tuple[str, bool]:
    """The type in words, and whether there may be several."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _type(next(part for part in parts if part is not type(None)))
    if origin in (list, tuple):
        return _type(parts[0])[0], True
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts), False
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(f"`{part.value}`" for part in hint), False
    return ("flag" if hint is bool else WORDS[hint]), False


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
