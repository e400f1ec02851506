"""Probabilities of new, unlabelled images by every network of a run. Never for diagnosis."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from cxrlens.arguments import checked
from cxrlens.data.files import ignored_files, list_files
from cxrlens.data.images import check_resize, read_image, to_uint8
from cxrlens.data.steps import image_warnings
from cxrlens.data.unreadable import UnreadableImage
from cxrlens.errors import UserError, nearest_file
from cxrlens.names import name_of, path_of
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.progress import SILENT, Progress
from cxrlens.train.device import choose_device
from cxrlens.train.predict import as_tensor, predict_batches, probabilities

OWN_COLUMNS = ("image", "problem", "warnings", "side")


@checked
def load_image(path: str | Path, *, size: int, interpolation: str = "bicubic", depth: int | None = None) -> Tensor:
    """Reads one X-ray as network input: converted to grey, resized to a square, with 256 grey levels.

    A problem of the file, such as very low contrast, is a Python warning. A run may use another interpolation or depth
    than the defaults here; `Run.load_image` reads an image as the run's own images were read.

    Args:
        path: a PNG, JPEG, TIFF, BMP, WebP or DICOM file; its content decides the format, not its name.
        size: height and width of the result in pixels, such as `model.size`.
        interpolation: "bicubic", "bilinear", "nearest", "area" or "lanczos".
        depth: number of bits that a file of more than 8 bits uses, unless the file says it; estimated from its values
            by default.

    Returns:
        float32 [1, 1, size, size] in [0, 1], brighter is higher.

    Raises:
        UserError: the file is absent, it is not a readable X-ray, or the size, interpolation or depth is invalid.
    """
    check_resize(size, interpolation)
    if depth is not None and not 1 <= depth <= 16:
        raise UserError(f"depth is a number of bits from 1 to 16; got {depth}")
    file = path_of(path)
    if not file.exists():
        raise UserError(f"no such image: {file}{nearest_file(file)}")
    image = read_image(file, depth)
    for warning in image_warnings(image.steps):
        warnings.warn(f"{name_of(file)}: {warning}", stacklevel=2)
    return as_tensor(to_uint8(image.pixels, size, interpolation)[None])


@checked
def predict(
    run: FinishedRun, paths: str | Path | Sequence[str | Path], *, device: str = "auto", progress: Progress = SILENT
) -> pd.DataFrame:
    """Predicts images with every trained network of a run.

    Args:
        run: the finished run.
        paths: one or several images or folders. All images of a folder are read, also in its subfolders and behind
            links. Files whose names are not those of images are ignored and counted. A file that is given twice counts
            once.
        device: "auto", "cpu" or "cuda".
        progress: display of the work in progress.

    Returns:
        One row per image. `image` is the path as given (a name that is not UTF-8 as `names.name_of` writes it). Each
        model has a column with its probability in [0, 1], the mean over its seeds and folds. `problem` is the reason
        why an image could not be read; its probabilities are then NaN. `warnings` are problems of a file that was read.
        `side` is "train" if the same file was trained on in any fold, "validation" if it was only validated on,
        "unused" for any other file of this run, "new" for other images, and None if it was not read. The column of a
        model whose own name is "image", "problem", "warnings" or "side" is "model image" and so on, see `columns`.

    Raises:
        UserError: a path is absent, or none of the files can be read.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    if not len(paths):
        raise UserError("predict needs at least one image or folder; got none")
    problems: dict[Path, str] = {}
    files, interpolation = _files(paths, problems, progress), run.study.images.interpolation
    names = [model["name"] for model in run.results["models"]]
    sizes = {name: run.size(name) for name in names}
    pixels: dict[Path, dict[int, np.ndarray]] = {}
    file_warnings: dict[Path, str] = {}
    sides: dict[Path, str] = {}
    run_files = _files_of_run(run)
    depth = run.depth
    with progress.task("reading images", len(files)) as task:
        for number, file in enumerate(files):
            if file in problems:
                continue
            try:
                image = read_image(file, depth)
                pixels[file] = {size: to_uint8(image.pixels, size, interpolation) for size in set(sizes.values())}
                file_warnings[file] = "; ".join(image_warnings(image.steps))
                sides[file] = run_files.get(image.sha256, "new")
            except UserError as error:
                problems[file] = error.reason if isinstance(error, UnreadableImage) else str(error)
            task.update(number + 1)
    if not pixels:
        reasons = "; ".join(f"{file}: {reason}" for file, reason in list(problems.items())[:3])
        raise UserError(f"none of {len(files)} files can be read: {reasons}" if files else f"no image in {paths[0]}")
    table = pd.DataFrame({"image": [name_of(file) for file in files]})
    for name, column in columns(names).items():
        squares = np.stack([by_size[sizes[name]] for by_size in pixels.values()])
        by_file = dict(zip(pixels, _probabilities(run, name, squares, device, progress), strict=True))
        table[column] = [by_file.get(file, np.nan) for file in files]
    table["problem"] = pd.Series([problems.get(file) for file in files], dtype=object)
    table["warnings"] = pd.Series([file_warnings.get(file) or None for file in files], dtype=object)
    table["side"] = pd.Series([sides.get(file) for file in files], dtype=object)
    return table


def columns(models: Sequence[str]) -> dict[str, str]:
    """Model → the column of its probabilities: its name, with the prefix "model " if another column has that name.

    >>> columns(["a", "image", "model image"])
    {'a': 'a', 'image': 'model model image', 'model image': 'model image'}
    """
    names, taken = {}, {*OWN_COLUMNS, *models}
    for name in models:
        column = name
        if name in OWN_COLUMNS:
            while column in taken:
                column = f"model {column}"
            taken.add(column)
        names[name] = column
    return names


def run_images_note(table: pd.DataFrame) -> str:
    """A sentence on the images of a table of `predict` that belong to the run; "" if every image is new.

    >>> run_images_note(pd.DataFrame({"side": ["train", "validation", "new"]}))
    '2 of 3 images belong to this run (1 of them trained on): they do not show its accuracy on new images.'
    """
    sides = table["side"].dropna()
    own, trained = int((sides != "new").sum()), int((sides == "train").sum())
    if not own:
        return ""
    images = (
        "1 image belongs" if len(sides) == 1 else f"{own} of {len(sides)} images belong" + ("s" if own == 1 else "")
    )
    which = f"{trained} of them trained on" if own > 1 else "trained on" if trained else "not trained on"
    subject = "they do" if own > 1 else "it does"
    return f"{images} to this run ({which}): {subject} not show its accuracy on new images."


def _files_of_run(run: FinishedRun) -> dict[str, str]:
    """SHA-256 of the run's files → "train", "validation" or "unused"."""
    cohort = run.cohort
    if "sha256" not in cohort or not (run.folder.path / "splits.csv").exists():
        return {}
    splits = run.folder.read_table(run.folder.path / "splits.csv")
    by_side = {side: set(splits.loc[splits["side"] == side, "image"]) for side in ("train", "validation")}
    sides: dict[str, str] = {}
    for image, digest in cohort.loc[cohort["sha256"].notna(), ["image", "sha256"]].itertuples(index=False):
        side = next((side for side, images in by_side.items() if image in images), "unused")
        # A file may have several copies, of which one may be trained on.
        sides[digest] = min(sides.get(digest, side), side, key=("train", "validation", "unused").index)
    return sides


def _probabilities(run: FinishedRun, name: str, squares: np.ndarray, device: str, progress: Progress) -> np.ndarray:
    """The mean probability of each image over the model's networks."""
    chosen, count = choose_device(device), len(squares)
    predictions = run.predictions
    networks = predictions.loc[predictions["model"] == name, ["seed", "fold"]].drop_duplicates()
    by_network: list[np.ndarray] = []
    with progress.task(name, len(networks) * count) as task:
        for seed, fold in networks.itertuples(index=False):
            model, before = chosen.place(run.model(name, seed=int(seed), fold=int(fold))), len(by_network) * count
            logits = predict_batches(
                model,
                lambda rows: as_tensor(squares[rows.start : rows.stop]),
                count, chosen, update=lambda done, before=before: task.update(before + done),
            )  # fmt: skip
            by_network.append(probabilities(logits.numpy()))
    return np.mean(by_network, axis=0)


def _files(paths: Sequence[str | Path], problems: dict[Path, str], progress: Progress) -> list[Path]:
    """The given images and the images of given folders; broken links are added to `problems`."""
    files: list[Path] = []
    for path in map(path_of, paths):
        if path.is_dir():
            listing = list_files(path, links_out=True)
            images = listing.unlisted(())
            files += [path_of(image, path) for image in images]
            problems |= {path_of(image, path): reason for image, reason in listing.refused.items() if image in images}
            for sentence in ignored_files((), listing.others()):
                progress.say(f"{path}: {sentence}")
        elif path.exists():
            files.append(path)
        else:
            raise UserError(f"no such image or folder: {path}{nearest_file(path)}")
    unique: dict[str, Path] = {}
    for file in files:
        unique.setdefault(os.path.realpath(file), file)
    if repeated := len(files) - len(unique):
        progress.say(f"{repeated} {'file is' if repeated == 1 else 'files are'} given more than once and counted once")
    return list(unique.values())
