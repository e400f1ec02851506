"""What long work tells whoever watches: silent unless the command line (or a notebook) listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Task(Protocol):
    """One bar."""

    def update(self, done: int, total: int | None = None, **shown: Any) -> None:
        """Says how many steps are done (and of how many, where that has changed), and what to show beside the bar."""


class Progress(Protocol):
    """Where work in progress is shown."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """A bar of `total` steps, gone when the block ends."""
        ...

    def say(self, line: str) -> None:
        """One line that stays."""


class _SilentTask:
    def update(self, done: int, total: int | None = None, **shown: Any) -> None:
        pass


class Silent:
    """Shows nothing."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """A bar that nobody sees."""
        yield _SilentTask()

    def say(self, line: str) -> None:
        """Nothing."""


SILENT = Silent()
