"""Frozen, validated configuration: every room declares its own options, the study file composes them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cxrlens.errors import UserError, near_miss, nearest_file


class Config(BaseModel):
    """A frozen table of options; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=Config)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        UserError: the file is absent, not UTF-8 or not TOML; the message holds the line.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"cannot read the file {path}: {error.strerror}{nearest_file(path)}") from error
    except OSError as error:
        raise UserError(f"cannot read the file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def parse(kind: type[C], raw: Mapping[str, Any], where: str) -> C:
    """Validates `raw` as a `kind`.

    Args:
        kind: the configuration class.
        raw: what the file says.
        where: how to call the place in an error, such as `[data] of studies/demo.toml`.

    Raises:
        UserError: one line for each fault, with the key, what was needed and what came.
    """
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        lines = [_explain(kind, {**fault, "loc": _keys(raw, fault)}) for fault in error.errors()]
        raise UserError(f"{where}: " + "; ".join(lines)) from error


def _explain(kind: type[BaseModel], fault: Any) -> str:
    location = fault["loc"]
    if fault["type"] == "extra_forbidden":
        owner = _owner(kind, location[:-1])
        place = ".".join(str(part) for part in location[:-1])
        kind_of_key = f"key in {place}" if place else "key"
        return near_miss(kind_of_key, location[-1], owner.model_fields if owner else ())
    key = ".".join(str(part) for part in location)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{key} is needed"
    return f"{key}: {message}; got {fault['input']!r}" if key else message


def _keys(raw: Any, fault: Any) -> tuple[Any, ...]:
    """Where a fault is, in what the author of the file writes: keys and places, not the branches of a union."""
    kept = []
    for part in fault["loc"]:
        if isinstance(raw, Mapping) and part in raw:
            raw = raw[part]
        elif isinstance(raw, (list, tuple)) and isinstance(part, int):
            raw = raw[part] if part < len(raw) else None
        elif fault["type"] != "missing" or part != fault["loc"][-1]:
            continue
        kept.append(part)
    return tuple(kept)


def _owner(kind: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The configuration class that the key at `location` belongs to, where that can be told."""
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
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _config_class(part))), None)
