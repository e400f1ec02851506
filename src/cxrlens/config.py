"""Frozen, validated options, read from TOML. Each package declares its own; the study file composes them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cxrlens.errors import UserError, near_miss, nearest_file


class _Checked(type(BaseModel)):
    """A wrong argument of a constructor, as in `MaximizeOptions(batch=0)`, is an error that the user can correct."""

    if not TYPE_CHECKING:

        def __call__(cls, *args, **kwargs):
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                raise UserError(f"{cls.__name__}: {_explained(cls, kwargs, error)}") from error


class Config(BaseModel, metaclass=_Checked):
    """Base class of a table of options: frozen, and an unknown key is an error that names the nearest known key.

    Attributes:
        former_keys: keys of earlier versions, each with what to write instead; `{0}` stands for the old value.
    """

    former_keys: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=Config)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UserError: the file is absent, not UTF-8 or not TOML; the message names the byte or the line.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"cannot read the file {path}: {error.strerror}{nearest_file(path)}") from error
    except OSError as error:
        raise UserError(f"cannot read the file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (at byte {error.start}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def parse(kind: type[C], raw: Mapping[str, Any], where: str) -> C:
    """Makes options of the class `kind` from a table of a file.

    Args:
        kind: class of the options.
        raw: keys and values of the table.
        where: name of the place in error messages, such as `[data] of studies/demo.toml`.

    Raises:
        UserError: a key is unknown or missing, or a value is wrong. The message names each such key with its value.
    """
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        raise UserError(f"{where}: {_explained(kind, raw, error)}") from error


def _explained(kind: type[BaseModel], raw: Mapping[str, Any], error: ValidationError) -> str:
    """Each fault of a table as one message."""
    return "; ".join(_explain(kind, {**fault, "loc": _keys(raw, fault)}) for fault in error.errors())


def _explain(kind: type[BaseModel], fault: Any) -> str:
    location = fault["loc"]
    if fault["type"] == "extra_forbidden":
        owner = _owner(kind, location[:-1])
        place = ".".join(str(part) for part in location[:-1])
        kind_of_key = f"key in {place}" if place else "key"
        return unknown_key(kind_of_key, location[-1], fault["input"], owner)
    key = ".".join(str(part) for part in location)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{key} is needed"
    return f"{key}: {message}; got {fault['input']!r}" if key else message


def unknown_key(kind_of_key: str, key: object, value: object, owner: type[BaseModel] | None) -> str:
    """Message about an unknown key of a table.

    Args:
        kind_of_key: kind of the key, such as "key in data".
        key: the unknown key.
        value: value of the key in the file.
        owner: options class of the table, if known.

    Returns:
        What to write instead of a former key; else the nearest known keys.
    """
    if owner and issubclass(owner, Config) and key in owner.former_keys:
        return f"unknown {kind_of_key} '{key}'; write {owner.former_keys[str(key)].format(value)}"
    return near_miss(kind_of_key, key, owner.model_fields if owner else ())


def _keys(raw: Any, fault: Any) -> tuple[Any, ...]:
    """Location of a fault as the file's author knows it: keys and list indices, without pydantic's union branches."""
    location = []
    for part in fault["loc"]:
        if isinstance(raw, Mapping) and part in raw:
            raw = raw[part]
        elif isinstance(raw, (list, tuple)) and isinstance(part, int):
            raw = raw[part] if part < len(raw) else None
        elif fault["type"] != "missing" or part != fault["loc"][-1]:
            continue
        location.append(part)
    return tuple(location)


def _owner(kind: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The options class that the key at `location` belongs to; None where it belongs to none."""
    owner: type[BaseModel] | None = kind
    for part in location:
        if isinstance(part, int):
            continue
        field = owner.model_fields.get(str(part)) if owner else None
        owner = _config_class(field.annotation) if field else None
    return owner


def _config_class(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    classes = map(_config_class, getattr(annotation, "__args__", ()))
    return next((kind for kind in classes if kind), None)
