"""The check of a public function's arguments at its door: every value must be of a kind that its annotation names.

    @checked
    def plan(study: Study | str | Path, *, device: str = "auto") -> Plan: ...

    plan({"name": "x"})  # UserError: study must be a Study or a path (text or pathlib.Path); got dict: {'name': 'x'}

The kinds are those of the public functions: classes, protocols, text, numbers, paths, `Literal`, and sequences and
mappings of these. Ranges, shapes and names are for the function itself to check.
"""

from __future__ import annotations

import functools
import inspect
import os
import reprlib
import types
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from cxrlens.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

WORDS = {str: "text", bool: "True or False", int: "a whole number", float: "a number", type(None): "None"}
PATH = "a path (text or pathlib.Path)"


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: an argument of a kind that the function's annotations do not name is a `UserError`.

    Too many arguments, too few or an unknown name stay Python's own TypeError. `Any` and `object` fit everything. A
    bool is no number, a text is no sequence, and a whole number is also a number.

    >>> @checked
    ... def halved(count: int) -> float:
    ...     return count / 2
    >>> halved(2.5)
    Traceback (most recent call last):
    ...
    cxrlens.errors.UserError: count must be a whole number; got 2.5
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # Python's own message names the function
        kinds = _kinds(function)
        for name, value in given.items():
            if name in kinds:
                check_argument(name, value, kinds[name])
        return function(*args, **kwargs)

    return call


@functools.cache
def _kinds(function: Callable[..., object]) -> dict[str, Any]:
    """The annotation of each parameter that takes one value; those of `*args` and `**kwargs` are not checked."""
    hints = get_type_hints(function)
    single = [name for name, part in inspect.signature(function).parameters.items() if part.kind not in (2, 4)]
    return {name: hints[name] for name in single if name in hints}


def check_argument(name: str, value: object, kind: Any) -> None:
    """Raises a UserError if a value is not of the kind of an annotation.

    Args:
        name: name of the argument in the message.
        value: the value.
        kind: a class, a protocol, or a union, sequence, mapping or `Literal` of them.

    >>> check_argument("seeds", [0, 1.5], Sequence[int])
    Traceback (most recent call last):
    ...
    cxrlens.errors.UserError: seeds must be a list of whole numbers; got list: [0, 1.5]
    """
    if not _fits(value, kind):
        advice = (
            "; torch.from_numpy makes one" if type(value).__name__ == "ndarray" and "Tensor" in _words(kind) else ""
        )
        raise UserError(f"{name} must be {_words(kind)}; got {shown(value)}{advice}")


def shown(value: object) -> str:
    """A value as an error message shows it: short, with its type unless the value says it, and with an array's shape.

    >>> shown(None), shown(96.5), shown({"a": 1})
    ('None', '96.5', "dict: {'a': 1}")
    """
    if value is None or isinstance(value, bool | int | float | str):
        return reprlib.repr(value)
    name = type(value).__name__
    if (shape := getattr(value, "shape", None)) is not None:
        return f"{name} of shape {list(shape)}"
    if isinstance(value, list | tuple | dict | set | bytes | os.PathLike):
        return f"{name}: {reprlib.repr(value)}"
    return name


def _options(kind: Any) -> tuple[Any, ...]:
    """The kinds of a union, or the kind itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _fits(value: Any, kind: Any) -> bool:
    options = _options(kind)
    if Path in options and isinstance(value, str | Path):
        return str(value) != "" and "\0" not in str(value)
    return any(_fits_one(value, option) for option in options)


def _fits_one(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (Any, object) or isinstance(kind, TypeVar):
        return True
    if origin is Literal:
        return any(value is choice or (type(value) is type(choice) and value == choice) for choice in arguments)
    if origin in (Sequence, tuple):
        # Arrays, columns and indices of numpy and pandas are sequences in all but name.
        value = value.tolist() if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist") else value
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return listed and all(_fits(part, arguments[0]) for part in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if kind is bool:
        return isinstance(value, bool) or type(value).__name__ == "bool"  # numpy's
    if kind is Path:
        return isinstance(value, os.PathLike) and isinstance(os.fspath(value), str)
    if getattr(kind, "_is_protocol", False):
        return not isinstance(value, type) and all(
            callable(getattr(value, name, None)) for name in vars(kind) if not name.startswith("_")
        )
    return isinstance(value, origin or kind)


def _words(kind: Any) -> str:
    """A kind in words, such as "text or a list of texts"."""
    options = _options(kind)
    texts = [option for option in options if not (option is str and Path in options)]
    words = list(dict.fromkeys(_words_one(option) for option in texts))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words_one(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Path:
        return PATH
    if kind in WORDS:
        return WORDS[kind]
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin in (Sequence, tuple):
        plural = {PATH: "paths", "text": "texts", "a whole number": "whole numbers", "a number": "numbers"}
        inner = _words(arguments[0])
        return f"a list of {plural.get(inner, f'items, each {inner}')}"
    name = getattr(origin or kind, "__name__", str(kind))
    article = "an" if name[:1].lower() in "aeiou" else "a"
    if getattr(kind, "_is_protocol", False):
        methods = " and ".join(method for method in vars(kind) if not method.startswith("_"))
        return f"{article} {name} (an object with {methods})"
    return f"{article} {name}"
