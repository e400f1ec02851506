"""CPU seconds of `cxrlens --help` and of a report that is written again from a finished run; nothing is compared.

    python benchmarks/commands.py [--run runs/demo] [--repeats 7]

Without `--run`, a small study of the phantom (128 pixels, two networks) is run first, which takes some
minutes.
The seconds are those of the whole process, as a user waits for it, on one thread.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import ONE_THREAD, ROOT, median
from record import record

SMALL = """
name = "small"
[data]
source = "phantom"
patients = 60
[images]
size = 128
interpolation = "bilinear"
[augment]
horizontal_flip = true
[training]
epochs = 3
[explain]
iterations = 8
unit_iterations = 8
spectrum_iterations = 8
[[models]]
name = "benchmark"
[[models]]
name = "ImageNet, frozen"
backbone = "tf_efficientnet_lite0"
weights = "efficientnet-lite0-imagenet"
trained = "head"
"""


def seconds(*words: str) -> float:
    """CPU seconds of a command of cxrlens, with its imports."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "cxrlens", *words], check=True, stdout=subprocess.DEVNULL, env=os.environ | ONE_THREAD
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def finished_run() -> Path:
    """A small run in `build/`, made where it is missing."""
    run = ROOT / "build" / "small-run"
    if not (run / "report.html").exists():
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "small.toml"
            study.write_text(SMALL, encoding="utf-8")
            subprocess.run([sys.executable, "-m", "cxrlens", "run", str(study), "--out", str(run)], check=True)
    return run


def main() -> None:
    """Measures, prints and records both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="folder of a finished run")
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    seconds("--help")  # what Python compiles once
    shown = median([seconds("--help") for _ in range(asked.repeats)])
    run = str(asked.run or finished_run())
    written = median([seconds("report", run) for _ in range(asked.repeats)])
    record([{"name": "cli_help", "ours": shown, "unit": "CPU s"}])
    record([{"name": "report_rebuilt", "ours": written, "unit": "CPU s"}])


if __name__ == "__main__":
    main()
