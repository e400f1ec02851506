"""A finished run together with its images: what looks at its networks again needs both."""

from __future__ import annotations

from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.fit import Job
from cxrlens.pipeline.prepare import Prepared, prepare
from cxrlens.progress import SILENT, Progress


def reopen(run: Run, data: str | Path | None = None, progress: Progress = SILENT) -> tuple[Prepared, list[Job]]:
    """The run's images and networks.

    Args:
        run: finished.
        data: the folder of its images; where it was when the run was made, if none is given.
        progress: where work is shown.

    Raises:
        UserError: the folder is not there, or its images are not those that the run was made with, or were read
            otherwise then.
    """
    _ = run.depth  # refuses a run whose images were read otherwise
    study, made = run.study, run.folder.read_json("environment.json")
    root = data if data is not None else made["data"]
    if root is not None and not Path(root).exists():
        raise UserError(f"the run's images are not at {root}; say where they are with --data PATH")
    prepared = prepare(study, Path(root) if root is not None else None, progress)
    if prepared.digest != made["inputs"]["images_sha256"]:
        raise UserError(
            f"the images are not those that {run.folder.path} was made with ({len(prepared.cache.index)} here, "
            f"{made['inputs']['images']} then): give the same folder with --data, or run the study anew"
        )
    rows = {row.name: row for row in study.models}
    names = [model["name"] for model in run.results["models"]]
    jobs = [
        Job(rows[name], run.size(name, seed, split.fold), seed, split)
        for name in names
        for seed in study.seeds
        for split in prepared.splits
    ]
    return prepared, jobs
