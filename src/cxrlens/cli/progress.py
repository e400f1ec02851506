"""Progress on the terminal: bars on standard error, so that standard output stays clean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cxrlens.cli.terminal import say
from cxrlens.names import visible

LABELS = {"auc": "AUC", "validation_auc": "val. AUC"}


class _Bar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self.bars, self.task = bars, task

    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        parts = (f"{LABELS.get(name, name)} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
                  for name, value in values.items())  # fmt: skip
        self.bars.update(self.task, completed=done, total=total, values=" · ".join(parts))


class Bars:
    """Progress bars with values beside them and the time left; a context manager around all work."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,  # a log needs no bars
        )

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[_Bar]:
        """A bar of `total` steps, gone when the block ends."""
        task = self.bars.add_task(visible(title), total=total, values="")
        try:
            yield _Bar(self.bars, task)
        finally:
            self.bars.remove_task(task)

    def say(self, line: str) -> None:
        """One line above the bars."""
        say(self.console, line)
