"""Progress on standard error, so that standard output stays clean: bars on a terminal, and lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
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


QUIET = 10.0  # seconds without a line after which a log gets one


class _Bar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self.bars, self.task = bars, task

    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        parts = (f"{LABELS.get(name, name)} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
                  for name, value in values.items())  # fmt: skip
        self.bars.update(self.task, completed=done, total=total, values=" · ".join(parts))


class Bars:
    """Progress bars with values beside them and the time left; a context manager around all work.

    A file or a pipe gets no bars. There, a line says what is being done whenever nothing was printed for 10 seconds.

    Args:
        clock: function that gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
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
        self._clock = clock
        self._began = self._spoke = clock()
        self._finished = threading.Event()

    def __enter__(self) -> Bars:
        self.bars.start()
        if not self.console.is_terminal:
            threading.Thread(target=self._speak, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finished.set()
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
        self._spoke = self._clock()
        say(self.console, line)

    def break_silence(self) -> None:
        """Prints what is being done, and how long the command has run, if nothing was printed for 10 seconds."""
        now = self._clock()
        if now - self._spoke >= QUIET:
            minutes, seconds = divmod(round(now - self._began), 60)
            self.say(f"[{minutes}:{seconds:02}] {self._state()}")

    def _state(self) -> str:
        tasks = list(self.bars.tasks)
        if not tasks:
            return "working"
        last = tasks[-1]
        steps = f": {last.completed:.0f} of {last.total:.0f}" if last.total and last.total > 1 else ""
        return last.description + steps + (f", {last.fields['values']}" if last.fields["values"] else "")

    def _speak(self) -> None:
        while not self._finished.wait(1):
            self.break_silence()
