"""Progress of long work: bars and lines that the command line or a notebook shows; silent by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Task(Protocol):
    """A progress bar."""

    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        """Sets the state of the bar.

        Args:
            done: number of steps that are done.
            total: number of all steps, where it has changed.
            values: names and values to show beside the bar.
        """


class Progress(Protocol):
    """Display of progress."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """Shows a bar of `total` steps until the block ends."""
        ...

    def say(self, line: str) -> None:
        """Shows one line that stays."""


class _SilentTask:
    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        pass


class Silent:
    """A display that shows nothing."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Gives a bar that is not shown."""
        yield _SilentTask()

    def say(self, line: str) -> None:
        """Shows nothing."""


SILENT = Silent()
