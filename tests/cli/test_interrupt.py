"""Ctrl-C on a real terminal: the run says that the same command continues it, and it does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="no pseudo-terminals here")

STUDY = """
name = "slow"
[data]
source = "phantom"
patients = 12
size = 64
[images]
size = 64
interpolation = "bilinear"
[split]
validation = 0.4
[explain]
figures = []

[[models]]
name = "network"
backbone = "tf_efficientnet_lite0"
head = "linear"
batch = 4
steps = STEPS
epochs = 2
"""


def on_a_terminal(command: list[str], press_after: bytes | None = None, seconds: float = 120) -> tuple[str, int]:
    """What a command prints on a terminal, and its exit status; Ctrl-C is pressed once, when some text was seen."""
    terminal, end = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=end, stderr=end, env=environment)
    os.close(end)
    printed, until = b"", time.monotonic() + seconds
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            printed += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if press_after and press_after in printed:
            process.send_signal(signal.SIGINT)
            press_after = None
    else:
        process.kill()
    os.close(terminal)
    return printed.decode(errors="replace"), process.wait()


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(tmp_path: Path) -> None:
    study, out = tmp_path / "slow.toml", tmp_path / "out"
    study.write_text(STUDY.replace("STEPS", "30"))
    command = [sys.executable, "-m", "cxrlens.cli.main", "run", str(study), "--out", str(out), "--device", "cpu"]
    output, status = on_a_terminal(command, press_after=b"epoch 1 ")
    assert status == 130 and "the same command continues from there" in " ".join(output.split()), output[-2000:]
    assert "loss" in output and "left" in output
    unit = out / "models" / "network" / "seed-0" / "fold-0"
    assert (unit / "checkpoint.safetensors").exists() and not (out / "results.json").exists()
    output, status = on_a_terminal(command)
    assert status == 0 and "Table 1" in output, output[-2000:]
    assert "AUC" in output and (out / "results.json").exists() and not (unit / "checkpoint.safetensors").exists()
