"""Writes docs/api.md: what `import cxrlens` gives, each name with its signature and its docstring's first sentence.

A code host shows the page as it is. For the site `tools/docs_site.py` puts mkdocstrings' full reference in the place
of what stands between a name's two comments. `tests/docs` compares the page with the code.
"""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path
from typing import Any

import cxrlens
from cxrlens.registry import Registry

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """# The Python interface

Everything below is in `cxrlens` itself: `import cxrlens`, then `cxrlens.run(...)`. The [notebook](tutorial.ipynb) uses
most of it.

This page is written by `python tools/api_page.py` from the docstrings.
"""
MARK, END = "<!-- reference: cxrlens.{} -->", "<!-- end of reference -->"


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    things = {name: getattr(cxrlens, name) for name in cxrlens.__all__}
    functions = [name for name, thing in things.items() if inspect.isfunction(thing)]
    classes = [name for name, thing in things.items() if inspect.isclass(thing)]
    registries = [name for name in things if name not in {*functions, *classes}]
    kinds = {"Functions": functions, "Classes": classes, "Registries": registries}
    for title, names in kinds.items():
        parts += [f"## {title}\n"]
        for name in names:
            parts += [f"### `{name}`\n", *_entry(name)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _entry(name: str) -> list[str]:
    """What a code host shows of a name, marked for the site where that has more to show."""
    thing = getattr(cxrlens, name)
    if isinstance(thing, Registry):
        sentence = f"The registry of every {thing.kind}, by name: `cxrlens.{name}[NAME]`."
        return [f"{sentence} There are: {', '.join(f'`{each}`' for each in thing)}.", ""]
    said = [MARK.format(name), "", f"{_summary(thing)} ([source](../{_source(thing)}))", ""]
    if inspect.isclass(thing):
        members = _members(thing)
        said += [*(f"- `{signature(*each)}`: {_summary(each[1])}" for each in members), *([""] if members else [])]
    else:
        said = [f"```text\n{signature(f'cxrlens.{name}', thing)}\n```", "", *said]
    return [*said, END, ""]


def _summary(thing: object) -> str:
    return " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())


def _source(thing: Any) -> str:
    """The file of a function or class, from the root of the repository."""
    path = Path("src", *thing.__module__.split("."))
    return (path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")).as_posix()


def _members(kind: type) -> list[tuple[str, Any]]:
    """The public methods and properties of a class that its own code, or its bases' here, documents."""
    found: dict[str, Any] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("cxrlens."):
            found |= {name: getattr(each, name) for name in vars(each) if not name.startswith("_")}
    documented = (property, cached_property)
    return [
        (name, thing)
        for name, thing in found.items()
        if thing.__doc__ and (inspect.isroutine(thing) or isinstance(thing, documented))
    ]


def signature(name: str, thing: Any) -> str:
    """How a function is called, by the names of its parameters and their plain defaults; of a property its name."""
    if not callable(thing):
        return name
    words, keyword_only = [], False
    for each in inspect.signature(thing).parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            words.append("*")
        keyword_only |= each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        plain = each.default is each.empty or isinstance(each.default, (str, int, float, tuple, type(None)))
        word = str(each.replace(annotation=each.empty, default=each.default if plain else each.empty))
        words.append(word if plain else f"{word}=...")
    return f"{name}({', '.join(words)})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
