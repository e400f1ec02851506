"""What `import cxrlens` gives: every type that it names can be imported from it."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator

import pytest

import cxrlens

OUTSIDE = {"builtins", "collections", "contextlib", "numpy", "pandas", "pathlib", "torch", "types", "typing"}
NOT_PUBLIC = {"RunFolder"}  # how a run's files are written: `Run` reads each of them
PUBLIC = {name: getattr(cxrlens, name) for name in cxrlens.__all__}


def classes(annotation: object) -> Iterator[type]:
    """Every class that an annotation names, such as `Path` and `str` of `Sequence[str | Path]`."""
    arguments = typing.get_args(annotation)
    if isinstance(annotation, type) and not arguments:
        yield annotation
    for argument in arguments:
        for part in argument if isinstance(argument, list) else [argument]:
            yield from classes(part)


def methods(kind: type) -> Iterator[typing.Any]:
    """The public methods and properties of a class, and of its bases in cxrlens."""
    for base in kind.__mro__:
        if not base.__module__.startswith("cxrlens."):
            continue
        for name, member in vars(base).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if not name.startswith("_") and inspect.isfunction(function):
                yield function


def named_types(name: str) -> Iterator[type]:
    """The classes in the signatures of a public function, or of a public class' methods."""
    thing = PUBLIC[name]
    functions = [thing] if inspect.isfunction(thing) else methods(thing) if inspect.isclass(thing) else []
    for function in functions:
        for annotation in typing.get_type_hints(function).values():
            yield from classes(annotation)


def results() -> Iterator[type]:
    """The classes that public functions and the methods of a run return."""
    for thing in [*PUBLIC.values(), *methods(cxrlens.Run)]:
        if inspect.isfunction(thing):
            yield from classes(typing.get_type_hints(thing).get("return"))


def is_public(kind: type) -> bool:
    """Whether a class, or one that is derived from it (`Run` is a `FinishedRun`), is public or not of cxrlens."""
    derived = any(inspect.isclass(thing) and kind in thing.__mro__ for thing in PUBLIC.values())
    return kind.__module__.split(".")[0] in OUTSIDE or derived or kind.__name__ in NOT_PUBLIC


@pytest.mark.parametrize("name", cxrlens.__all__)
def test_every_type_in_a_public_signature_is_public(name: str) -> None:
    assert not {kind.__name__ for kind in named_types(name) if not is_public(kind)}


def test_every_type_that_a_result_holds_is_public() -> None:
    held = {
        (result.__name__, kind.__name__)
        for result in results()
        if dataclasses.is_dataclass(result)
        for annotation in typing.get_type_hints(result).values()
        for kind in classes(annotation)
        if not is_public(kind)
    }
    assert not held


def test_every_public_name_stands_in_all_three_lists() -> None:
    assert sorted(cxrlens.__all__) == sorted(cxrlens._HOMES)
    assert all(PUBLIC[name] is not None for name in cxrlens.__all__)
    with pytest.raises(AttributeError, match="did you mean 'auc_table'"):
        getattr(cxrlens, "auc_tabel")  # noqa: B009 - an attribute that a type checker would refuse
