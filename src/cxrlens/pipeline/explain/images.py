"""Figure 1 of any images, by the networks of a finished run. Never for diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cxrlens.data.images import read_image, to_uint8
from cxrlens.data.steps import image_warnings
from cxrlens.errors import UserError
from cxrlens.explain.explained import explained
from cxrlens.explain.pick import Picked
from cxrlens.pipeline.explain.kept import write_arrays
from cxrlens.pipeline.finished import Run
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.study import folder_name
from cxrlens.train.device import choose_device


def explain_images(
    run: Run,
    paths: Sequence[str | Path],
    out: str | Path,
    methods: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Path:
    """Draws Figure 1 of images that need not be the run's own, with every model's first network.

    Args:
        run: finished.
        paths: PNG, JPEG or DICOM files.
        out: the figure's path; PNG and PDF are written, and the arrays in a folder of that name.
        methods: names of attribution methods; the study's where none are given.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown.

    Returns:
        The PNG's path.

    Raises:
        UserError: no image, one that cannot be read, or an unknown method.
    """
    if not paths:
        raise UserError("explain needs at least one image")
    files = [Path(path) for path in paths]
    depth = run.depth
    read = [read_image(file, depth) for file in files]
    images = [image.pixels for image in read]
    for file, image in zip(files, read, strict=True):
        for warning in image_warnings(image.steps):
            progress.say(f"warning: {file}: {warning}")
    study, chosen, path = run.study, choose_device(device), Path(out).with_suffix(".png")
    methods = tuple(methods or study.explain.methods)
    views = []
    names = [model["name"] for model in run.results["models"]]
    with progress.task("maps", len(names)) as task:
        for number, name in enumerate(names):
            size = run.size(name)
            squares = np.stack([to_uint8(image, size, study.images.interpolation) for image in images])
            pixels = torch.from_numpy(squares.astype(np.float32) / 255)[:, None]
            view = explained(name, chosen.place(run.model(name)), pixels, methods)
            arrays = view.arrays() | {"images": np.array([file.name for file in files])}
            write_arrays(path.with_suffix("") / f"{folder_name(name)}.npz", arrays)
            views.append(view)
            task.update(number + 1)
    given = [Picked(file.name, "given image") for file in files]
    figures.save(figures.maps_figure(given, views, display=study.explain.display), path)
    return path
