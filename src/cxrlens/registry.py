"""One small registry: a part is named beside its code, and a misspelt name is answered with the nearest one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from cxrlens.errors import UserError, near_miss

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to parts. Every module of `package` is imported at the first look-up, so a new file is a new part.

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
        """Decorator that files a part under `name`, and tells a class that declares a `name` what it is called."""

        def add(part: T) -> T:
            assert name not in self._parts, f"two parts are called {name!r}"
            self._parts[name] = part
            if isinstance(part, type) and hasattr(part, "name"):
                setattr(part, "name", name)  # noqa: B010 - of some kinds of parts alone
            return part

        return add

    def __getitem__(self, name: str) -> T:
        self._discover()
        if name not in self._parts:
            raise UserError(near_miss(self.kind, name, self._parts))
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._parts

    def _discover(self) -> None:
        if self._package is None:
            return
        package = importlib.import_module(self._package)
        self._package = None
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
