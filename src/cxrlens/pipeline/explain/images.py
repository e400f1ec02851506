"""Figure 1 of any image files, by the networks of a finished run. For research only, never for diagnosis."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.arguments import checked
from cxrlens.data.files import IMAGE_SUFFIXES, looks_like_image
from cxrlens.data.images import read_image, to_uint8
from cxrlens.data.steps import image_warnings
from cxrlens.errors import UserError, near_miss, nearest_file
from cxrlens.explain.attribution_options import FigureImage
from cxrlens.explain.base import Attribution
from cxrlens.explain.methods import METHODS
from cxrlens.explain.model_explanation import ModelExplanation, explain_model
from cxrlens.names import name_of, path_of
from cxrlens.outputs import NOISE, check_output, picture_by
from cxrlens.pipeline.array_cache import write_arrays
from cxrlens.pipeline.explain.omissions import Omissions
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.study import folder_name
from cxrlens.train.device import choose_device
from cxrlens.train.predict import as_tensor

OTHER_PICTURES = (IMAGE_SUFFIXES | {".svg", ".eps", ".ps", ".gif", ".jp2"}) - {".png"}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Figure 1 of given images; a notebook displays the figure.

    Attributes:
        figure: path of the PNG. The PDF is beside it, and the raw maps are in a folder of the same name.
        images: paths of the images, in the order of all arrays here.
        models: for each model its name, the images at its size, their probabilities and its maps (`model`, `images`,
            `probabilities`, `attributions`), by the network of its first seed and fold.
        left_out: for each missing part of the figure `what` is missing, the `model`, and the `reason`.
    """

    figure: Path
    images: tuple[str, ...]
    models: tuple[ModelExplanation, ...]
    left_out: tuple[dict[str, Any], ...] = ()

    @property
    def methods(self) -> list[str]:
        """The names of all methods by which any model has maps."""
        return list(dict.fromkeys(maps.method for model in self.models for maps in model.attributions))

    @checked
    def maps(self, model: str, method: str) -> Attribution:
        """The raw maps of one model by one method.

        Args:
            model: name of the model.
            method: name of the method.

        Raises:
            UserError: the model is unknown or has no maps by the method.
        """
        by_name = {explanation.model: explanation for explanation in self.models}
        if model not in by_name:
            raise UserError(near_miss("model", model, by_name))
        by_method = {maps.method: maps for maps in by_name[model].attributions}
        if method not in by_method:
            why = f" ({by_name[model].missing[method]})" if method in by_name[model].missing else ""
            raise UserError(f"no maps of '{model}' by that method{why}: {near_miss('method', method, by_method)}")
        return by_method[method]

    def __repr__(self) -> str:
        images = self.images[0] if len(self.images) == 1 else f"{len(self.images)} images"
        names = ", ".join(explanation.model for explanation in self.models)
        return f"Maps ({', '.join(self.methods)}) of {images} by {names}: {self.figure}"

    def _repr_png_(self) -> bytes:
        return self.figure.read_bytes()


def explain_images(
    run: FinishedRun,
    paths: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    methods: str | Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    force: bool = False,
) -> Explanation:
    """Draws Figure 1 of any images, with one network of every model of a run: that of its first seed and fold.

    If a method does not work for a model, a warning says so, and the figure is made without these maps.

    Args:
        run: a finished run.
        paths: one or several image files.
        out: path of the figure, with or without `.png` or `.pdf`; both are written, and the arrays go into a folder of
            that name. By default `figures/explained.png` in the run's folder, which the next call overwrites.
        methods: names of attribution methods; by default those of the study.
        device: "auto", "cpu" or "cuda".
        progress: receiver of the progress.
        force: overwrite files that `explain` did not write. The images and the run's own files are never overwritten.

    Raises:
        UserError: there is no image, an image cannot be read, a method is unknown or none works for any model, or `out`
            names a file that must not be overwritten. Nothing is written then.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    if not paths:
        raise UserError("explain needs at least one image; got none")
    files = [path_of(path) for path in paths]
    for file in files:
        if not file.exists():
            raise UserError(f"no such image: {file}{nearest_file(file)}")
        if file.is_dir():
            example = _image_pattern(file)
            advice = f"; name its images: {example}" if example else ", which holds no image"
            raise UserError(f"explain takes images, not folders; got the folder {name_of(file)}{advice}")
    # The run's own folder needs no `force`: nothing else writes there.
    target, overwrite = (run.folder.path / "figures" / "explained.png", True) if out is None else (Path(out), force)
    base = _checked(target, files, run, overwrite)
    depth = run.depth
    decoded = [read_image(file, depth) for file in files]
    images = [image.pixels for image in decoded]
    for file, image in zip(files, decoded, strict=True):
        for warning in image_warnings(image.steps):
            progress.say(f"warning: {name_of(file)}: {warning}")
    study, on_device, path = run.study, choose_device(device), base.with_name(f"{base.name}.png")
    methods = (methods,) if isinstance(methods, str) else tuple(methods or study.explain.methods)
    for method in methods:
        METHODS[method]  # an unknown name is an error before any work
    explanations, omissions = [], Omissions(progress)
    names = [model["name"] for model in run.results["models"]]
    with progress.task("maps", len(names)) as task:
        for number, name in enumerate(names):
            size = run.size(name)
            squares = np.stack([to_uint8(image, size, study.images.interpolation) for image in images])
            explanation = explain_model(name, on_device.place(run.model(name)), as_tensor(squares), methods, on_device)
            for method, why in explanation.missing.items():
                omissions.add(f"maps of {METHODS[method].title}", name, why)
            if explanation.attributions:
                arrays = explanation.arrays() | {"images": np.array([name_of(file.name) for file in files])}
                write_arrays(base / f"{folder_name(name)}.npz", arrays)
                explanations.append(explanation)
            task.update(number + 1)
    if not explanations:
        reasons = "; ".join(f"{entry['model']}: {entry['reason']}" for entry in omissions.entries)
        raise UserError(f"no model of this run has maps by {', '.join(methods)}: {reasons}")
    captions = [FigureImage(name_of(file.name), "given image") for file in files]
    figures.save(figures.maps_figure(captions, explanations, display=study.explain.display), path, "explain")
    return Explanation(path, tuple(name_of(file) for file in files), tuple(explanations), tuple(omissions.entries))


def _image_pattern(folder: Path) -> str:
    """A shell pattern for the images of a folder with the most frequent suffix; "" if there are none."""
    try:
        images = [path for path in folder.iterdir() if path.is_file() and looks_like_image(path.name)]
    except OSError:  # the folder cannot be listed
        images = []
    suffixes = Counter(path.suffix for path in images)
    return f"{name_of(folder)}/*{suffixes.most_common(1)[0][0]}" if suffixes else ""


def _checked(out: Path, files: Sequence[Path], run: FinishedRun, force: bool) -> Path:
    """The figure's path without its suffix. PNG, PDF and the folder of the arrays may be written there."""
    if out.name in ("", ".."):
        raise UserError(f"{out} is a folder, but the figure is a file: name a file, such as {out / 'explained.png'}")
    suffix = out.suffix.lower()
    if suffix in OTHER_PICTURES:
        raise UserError(f"the figure is written as PNG and PDF; give --out a name that ends in .png, not {out.name}")
    base = out.with_name(out.name[: -len(suffix)]) if suffix in (".png", ".pdf") and out.stem else out
    for path in (base.with_name(f"{base.name}.png"), base.with_name(f"{base.name}.pdf")):
        check_output(path, "the figure", picture_by("explain"), [*files, *run.folder.own_files()], force=force)
    if base.is_dir():
        others = sorted(path.name for path in base.iterdir() if not _is_raw_maps(path) and path.name not in NOISE)
        if others and not force:
            raise UserError(
                f"the raw maps go into the folder {base}, which holds other files ({', '.join(others[:3])}); choose "
                f"another --out, such as {base / 'explained'}"
            )
    elif base.exists():
        raise UserError(f"the raw maps go into the folder {base}, but a file has this name; choose another --out")
    for model in run.results["models"]:
        path = base / f"{folder_name(model['name'])}.npz"
        check_output(path, "the file of raw maps", _is_raw_maps, [*files, *run.folder.own_files()], force=force)
    return base


def _is_raw_maps(path: Path) -> bool:
    """Whether a file holds maps as `explain` writes them."""
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return {"images.npy", "pixels.npy", "probability.npy"} <= {*file.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False
