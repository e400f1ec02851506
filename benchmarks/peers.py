"""Runs a peer (Keras, tf-keras-vis) in an environment of its own, one measurement at a time, in turn with cxrlens.

Both sides have random weights of the right shapes, one thread, and CPU seconds as their clock, which other work on the
machine disturbs less than it does the wall's. The first measurement of each side is a warm-up and is left out.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
ENVIRONMENT, REQUIREMENTS = ROOT / "build" / "peers", ROOT / "benchmarks" / "peers.txt"
WORKER = ROOT / "benchmarks" / "peer_keras.py"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
ONE_THREAD = dict.fromkeys(THREADS, "1")


@cache
def peer_python() -> Path:
    """Python of the peers' environment, which is made (2 GB from the package index) where it is missing."""
    python, note = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not note.exists() or note.read_text(encoding="utf-8") != wanted:
        print(f"installing {REQUIREMENTS.name} into {ENVIRONMENT}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
        subprocess.run([str(python), *install], check=True)
        note.write_text(wanted, encoding="utf-8")
    return python


class Peer:
    """A worker of the peers' environment, at one task.

    Attributes:
        versions: versions of the packages that it uses.
        seconds: CPU seconds of each measurement so far, without the warm-up.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self.seconds: list[float] = []
        self._warm = False
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (see `close`)
        command = [str(peer_python()), str(WORKER), json.dumps(task)]
        # Not the caller's paths: its PyTorch and numpy are not the peers'.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env=environment | ONE_THREAD | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )  # fmt: skip
        self.versions: dict[str, str] = self._receive()["versions"]

    def measure(self) -> None:
        """Has the worker do its task once more."""
        assert self._process.stdin is not None
        self._process.stdin.write("once\n")
        self._process.stdin.flush()
        seconds = self._receive()["seconds"]
        if self._warm:
            self.seconds.append(seconds)
        self._warm = True

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            words = self._log.read()[-2000:]
            self.close()
            raise RuntimeError(f"the peer stopped:\n{words}")
        return json.loads(line)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker."""
        if not self._log.closed:
            self._process.communicate()
            self._log.close()


median = statistics.median


class Enough(Exception):
    """As much as was to be measured has been measured."""


class Turns:
    """A `Progress` that times each update of one task, and lets the peer do its own step after it.

    Attributes:
        seconds: CPU seconds of each update, without the first.
        tasks: title of each task, with its CPU seconds; the last one is the one whose updates are timed.
    """

    def __init__(self, repeats: int, title: str, peer: Peer | None = None) -> None:
        self.repeats, self.title, self.peer = repeats, title, peer
        self.seconds: list[float] = []
        self.tasks: dict[str, float] = {}

    @contextmanager
    def task(self, title: str, total: int):
        """A task; only the one with the title of this object is timed update by update."""
        began = time.process_time()
        yield _Steps(self) if title == self.title else _Nothing()
        self.tasks[title] = time.process_time() - began

    def say(self, line: str) -> None:
        """Nothing."""


class _Nothing:
    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        pass


class _Steps:
    def __init__(self, turns: Turns) -> None:
        self._turns, self._began, self._count = turns, time.process_time(), 0

    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        turns, seconds = self._turns, time.process_time() - self._began
        if self._count:
            turns.seconds.append(seconds)
        self._count += 1
        if turns.peer:
            turns.peer.measure()
        if len(turns.seconds) == turns.repeats:
            raise Enough
        self._began = time.process_time()


def in_turn(ours: Callable[[], object], peer: Peer, repeats: int) -> list[float]:
    """CPU seconds of our calls, each followed by one of the peer's; a first call of each is left out."""
    seconds = []
    for _ in range(repeats + 1):
        began = time.process_time()
        ours()
        seconds.append(time.process_time() - began)
        peer.measure()
    return seconds[1:]


def row(name: str, ours: float, peer: float, unit: str, versions: dict[str, str]) -> dict[str, Any]:
    """A row of `results.json`, see `record`."""
    return {"name": name, "ours": ours, "peer": peer, "unit": unit, "versions": versions}


def one_thread() -> None:
    """One thread for PyTorch; the peer has one too."""
    torch.set_num_threads(1)
