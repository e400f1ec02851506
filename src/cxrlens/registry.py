"""A registry of parts by name. A part registers beside its code; an unknown name is an error with the nearest one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from cxrlens.errors import UserError, near_miss

T = TypeVar("T")


class Registry(Generic[T]):
    """Parts by name. The first look-up imports every module of `package`, so that a new file adds its part.

    Args:
        kind: kind of the parts in error messages, such as "probe".
        package: package whose modules register the parts; without it, nothing is imported.


    >>> probes = Registry("probe")
    >>> @probes.register("border")
    ... class Border: ...
    >>> probes["bordr"]
    Traceback (most recent call last):
    ...
    cxrlens.errors.UserError: unknown probe 'bordr'; did you mean 'border'? Known: border
    """

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers a part under `name`; a class with an attribute `name` gets it set to that name."""

        def add(part: T) -> T:
            assert name not in self._parts, f"two parts are called {name!r}"
            self._parts[name] = part
            if isinstance(part, type) and hasattr(part, "name"):
                setattr(part, "name", name)  # noqa: B010 - only some kinds of parts have it
            return part

        return add

    def __getitem__(self, name: str) -> T:
        self._discover()
        if not isinstance(name, str) or name not in self._parts:
            raise UserError(near_miss(self.kind, name, self._parts))
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        self._discover()
        return isinstance(name, str) and name in self._parts

    def _discover(self) -> None:
        if self._package is None:
            return
        package = importlib.import_module(self._package)
        self._package = None
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
