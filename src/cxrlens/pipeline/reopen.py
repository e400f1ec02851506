"""A finished run's images once more: they must be those that it was made with."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cxrlens.data.cache import ImageCache
from cxrlens.errors import UserError
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.fit import Job
from cxrlens.pipeline.pixels import Pixels
from cxrlens.pipeline.predict import as_tensor
from cxrlens.pipeline.prepare import Prepared, digest_of, listed, prepare
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
    study, root = run.study, _folder(run, data)
    prepared = prepare(study, root, progress)
    _check_same(run, prepared.cache)
    rows = {row.name: row for row in study.models}
    jobs = [
        Job(rows[name], run.size(name, seed=seed, fold=split.fold), seed, split)
        for name in run.models
        for seed in study.seeds
        for split in prepared.splits
    ]
    return prepared, jobs


def images_of(
    run: Run,
    name: str,
    *,
    model: str,
    fold: int = 0,
    data: str | Path | None = None,
    progress: Progress = SILENT,
) -> tuple[Tensor, Tensor]:
    """The images of one set of a run's split as one of its networks sees them, and their labels; see `Run.images`."""
    rows, size = run.split(name, fold=fold), run.size(model, fold=fold)
    study, root = run.study, _folder(run, data)
    pixels = Pixels(listed(study, root), study.images, progress)
    _check_same(run, pixels.at(study.images.reference)[0])
    validated_on, trained_on = pixels.at(size)
    cache = trained_on if name == "train" else validated_on
    return as_tensor(cache.batch(rows["image"].tolist())), torch.tensor(rows["label"].to_numpy("float32"))


def _folder(run: Run, data: str | Path | None) -> Path | None:
    """The folder of the run's images: `data`, or where it was when the run was made."""
    _ = run.depth  # refuses a run whose images were read otherwise
    root = data if data is not None else run.folder.read_json("environment.json")["data"]
    if root is not None and not Path(root).exists():
        raise UserError(f"the run's images are not at {root}; say where they are with --data PATH")
    return Path(root) if root is not None else None


def _check_same(run: Run, cache: ImageCache) -> None:
    inputs = run.folder.read_json("environment.json")["inputs"]
    if digest_of(cache) != inputs["images_sha256"]:
        raise UserError(
            f"the images are not those that {run.folder.path} was made with ({len(cache.index)} here, "
            f"{inputs['images']} then): give the same folder with --data, or run the study anew"
        )
