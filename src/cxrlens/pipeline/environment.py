"""`environment.json`: versions, device, hashes of the inputs, and the time of each stage."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cxrlens import __version__
from cxrlens.errors import UserError
from cxrlens.run_folder import RunFolder
from cxrlens.train.device import Device

PACKAGES = ("numpy", "pandas", "pillow", "pydicom", "scikit-learn", "scipy", "timm", "torch", "torchvision")


class Stopwatch:
    """Seconds of each stage; a resumed run adds to its earlier times."""

    def __init__(self, stages: list[dict[str, Any]] | None = None) -> None:
        self.stages = stages or []

    def add(self, name: str, seconds: float) -> None:
        """Adds seconds to a stage, which is new at its first call."""
        for stage in self.stages:
            if stage["name"] == name:
                stage["seconds"] = round(stage["seconds"] + seconds, 2)
                return
        self.stages.append({"name": name, "seconds": round(seconds, 2)})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a block, also if it is interrupted."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - began)


def earlier_stages(run: RunFolder) -> list[dict[str, Any]]:
    """The stages that an interrupted run wrote; none for a new run or a damaged file, which is written again."""
    try:
        return run.read_json("environment.json")["stages"]
    except (UserError, KeyError, TypeError):
        return []


def write_environment(
    run: RunFolder,
    digest: str,
    images: int,
    device: Device,
    watch: Stopwatch,
    data: str | Path | None,
    study_dir: Path | None = None,
) -> None:
    """Writes `environment.json`.

    Args:
        run: folder of the run.
        digest: SHA-256 over the readable images.
        images: number of readable images.
        device: device on which the networks were trained.
        watch: time of each stage.
        data: folder of the images; written as an absolute path, so that later commands find it from any folder.
        study_dir: folder that relative weight paths start from; written as an absolute path.
    """
    run.write_json(
        "environment.json",
        {
            "cxrlens": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: version(name) for name in PACKAGES},
            "device": {"name": device.name, "title": device.title},
            "command": sys.argv,
            "data": str(Path(data).absolute()) if data is not None else None,
            "study_dir": str(study_dir.absolute()) if study_dir is not None else None,
            "inputs": {
                "study_sha256": hashlib.sha256(run.study.read_bytes()).hexdigest(),
                "images_sha256": digest,
                "images": images,
            },
            "stages": watch.stages,
        },
    )


def recorded_study_dir(environment: Mapping[str, Any]) -> str | None:
    """The folder that a run's relative weight paths start from, as its `environment.json` has it.

    >>> recorded_study_dir({"study_dir": "/new"}), recorded_study_dir({"near": "/old"}), recorded_study_dir({})
    ('/new', '/old', None)
    """
    return environment.get("study_dir", environment.get("near"))  # older versions wrote `near`
