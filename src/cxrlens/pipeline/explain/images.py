"""Figure 1 of any images, by the networks of a finished run. Never for diagnosis."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.data.files import IMAGE_SUFFIXES, looks_like_image
from cxrlens.data.images import read_image, to_uint8
from cxrlens.data.steps import image_warnings
from cxrlens.errors import UserError, near_miss, nearest_file
from cxrlens.explain.attribution_options import Picked
from cxrlens.explain.base import Attribution
from cxrlens.explain.explained import Explained, explained
from cxrlens.explain.methods import METHODS
from cxrlens.names import name_of, path_of
from cxrlens.outputs import NOISE, check_output, picture_by
from cxrlens.pipeline.array_cache import write_arrays
from cxrlens.pipeline.explain.left_out import LeftOut
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.progress import SILENT, Progress
from cxrlens.report import figures
from cxrlens.study import folder_name
from cxrlens.train.device import choose_device
from cxrlens.train.predict import as_tensor

OTHER_PICTURES = (IMAGE_SUFFIXES | {".svg", ".eps", ".ps", ".gif", ".jp2"}) - {".png"}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Figure 1 of some images; a notebook shows it as a picture.

    Attributes:
        figure: the PNG; the PDF lies beside it, the raw maps in a folder of the same name.
        images: the files, in the order of every array here.
        models: what each model's first network sees: `model`, `images`, `probabilities`, `attributions`.
        left_out: which model is without which maps, and why.
    """

    figure: Path
    images: tuple[str, ...]
    models: tuple[Explained, ...]
    left_out: tuple[dict[str, Any], ...] = ()

    @property
    def methods(self) -> list[str]:
        """Names of the methods that any model has maps of."""
        return list(dict.fromkeys(each.method for model in self.models for each in model.attributions))

    def maps(self, model: str, method: str) -> Attribution:
        """The raw maps of one model by one method.

        Raises:
            UserError: this model or this method of it is not there.
        """
        by_name = {each.model: each for each in self.models}
        if model not in by_name:
            raise UserError(near_miss("model", model, by_name))
        by_method = {each.method: each for each in by_name[model].attributions}
        if method not in by_method:
            why = f" ({by_name[model].missing[method]})" if method in by_name[model].missing else ""
            raise UserError(f"no maps of '{model}' by that method{why}: {near_miss('method', method, by_method)}")
        return by_method[method]

    def __repr__(self) -> str:
        images = self.images[0] if len(self.images) == 1 else f"{len(self.images)} images"
        names = ", ".join(each.model for each in self.models)
        return f"Maps ({', '.join(self.methods)}) of {images} by {names}: {self.figure}"

    def _repr_png_(self) -> bytes:
        return self.figure.read_bytes()


def explain_images(
    run: FinishedRun,
    paths: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    methods: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress = SILENT,
    force: bool = False,
) -> Explanation:
    """Draws Figure 1 of images that need not be the run's own, with every model's first network.

    Args:
        run: finished.
        paths: one or several image files.
        out: the figure's path, with or without `.png` or `.pdf`; both are written, and the arrays in a folder of that
            name. By default `figures/explained.png` in the run's folder, which the next call writes over.
        methods: names of attribution methods; the study's where none are given.
        device: "auto", "cpu" or "cuda".
        progress: where work is shown.
        force: write over files of other origin, the images and the run excepted.

    Raises:
        UserError: no image, one that cannot be read, an unknown method, methods that no model can have, or `out` names
            what must not be written over; nothing is written then. Models that cannot have some of the methods are
            named to whoever watches.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    if not paths:
        raise UserError("explain needs at least one image")
    files = [path_of(path) for path in paths]
    for file in files:
        if not file.exists():
            raise UserError(f"no such image: {file}{nearest_file(file)}")
        if file.is_dir():
            shown = name_of(file)
            todo = f"; name some: {example}" if (example := _example(file)) else ", which holds no image"
            raise UserError(f"explain takes images, not folders; got the folder {shown}{todo}")
    # The run's own place needs no mark: nothing else writes there.
    place, over = (run.folder.path / "figures" / "explained.png", True) if out is None else (Path(out), force)
    base = _checked(place, files, run, over)
    depth = run.depth
    read = [read_image(file, depth) for file in files]
    images = [image.pixels for image in read]
    for file, image in zip(files, read, strict=True):
        for warning in image_warnings(image.steps):
            progress.say(f"warning: {name_of(file)}: {warning}")
    study, chosen, path = run.study, choose_device(device), base.with_name(f"{base.name}.png")
    methods = tuple(methods or study.explain.methods)
    for method in methods:
        METHODS[method]  # an unknown name is said before any work
    views, out_of_reach = [], LeftOut(progress)
    names = [model["name"] for model in run.results["models"]]
    with progress.task("maps", len(names)) as task:
        for number, name in enumerate(names):
            size = run.size(name)
            squares = np.stack([to_uint8(image, size, study.images.interpolation) for image in images])
            view = explained(name, chosen.place(run.model(name)), as_tensor(squares), methods, chosen)
            for method, why in view.missing.items():
                out_of_reach.note(f"maps of {METHODS[method].title}", name, why)
            if view.attributions:
                arrays = view.arrays() | {"images": np.array([name_of(file.name) for file in files])}
                write_arrays(base / f"{folder_name(name)}.npz", arrays)
                views.append(view)
            task.update(number + 1)
    if not views:
        said = "; ".join(f"{one['model']}: {one['reason']}" for one in out_of_reach.told)
        raise UserError(f"no model of this run has maps by {', '.join(methods)}: {said}")
    given = [Picked(name_of(file.name), "given image") for file in files]
    figures.save(figures.maps_figure(given, views, display=study.explain.display), path, "explain")
    return Explanation(path, tuple(name_of(file) for file in files), tuple(views), tuple(out_of_reach.told))


def _example(folder: Path) -> str:
    """The images of a folder as a pattern that a shell fills in, by the most frequent ending; "" where it has none."""
    try:
        images = [path for path in folder.iterdir() if path.is_file() and looks_like_image(path.name)]
    except OSError:  # may not be looked into
        images = []
    endings = Counter(path.suffix for path in images)
    return f"{name_of(folder)}/*{endings.most_common(1)[0][0]}" if endings else ""


def _checked(out: Path, files: Sequence[Path], run: FinishedRun, force: bool) -> Path:
    """The figure's path without its ending, where PNG, PDF and the folder of the arrays may be written."""
    if out.name in ("", ".."):
        raise UserError(f"{out} is a folder, and the figure is a file: name one in it, such as {out / 'explained.png'}")
    ending = out.suffix.lower()
    if ending in OTHER_PICTURES:
        raise UserError(f"the figure is written as PNG and PDF; give --out a name that ends in .png, not {out.name}")
    base = out.with_name(out.name[: -len(ending)]) if ending in (".png", ".pdf") and out.stem else out
    for path in (base.with_name(f"{base.name}.png"), base.with_name(f"{base.name}.pdf")):
        check_output(path, "the figure", picture_by("explain"), [*files, *run.folder.own_files()], force=force)
    if base.is_dir():
        others = sorted(path.name for path in base.iterdir() if not _raw_maps(path) and path.name not in NOISE)
        if others and not force:
            raise UserError(
                f"the raw maps go into the folder {base}, which holds other files ({', '.join(others[:3])}); choose "
                f"another --out, such as {base / 'explained'}"
            )
    elif base.exists():
        raise UserError(f"the raw maps go into a folder {base}, and a file of that name is there; choose another --out")
    for name in run.results["models"]:
        path = base / f"{folder_name(name['name'])}.npz"
        check_output(path, "the file of raw maps", _raw_maps, [*files, *run.folder.own_files()], force=force)
    return base


def _raw_maps(path: Path) -> bool:
    """Whether it is a file of maps as `explain` writes them."""
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return {"images.npy", "pixels.npy", "probability.npy"} <= {*file.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False
