"""Lung masks from a folder: PNG files named like the images, bright where there is lung."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from cxrlens.audit.lungs.regions import Lungs
from cxrlens.data.files import looks_like_image
from cxrlens.data.tables import read_table
from cxrlens.errors import UserError


def from_folder(folder: Path, images: Sequence[str], size: int) -> Lungs:
    """The masks of these images, resized to squares (nearest), as the images are.

    Args:
        folder: of the masks; a mask has its image's name, whatever the ending.
        images: names.
        size: side of the squares.

    Raises:
        UserError: no such folder, or a mask that is no image.
    """
    if not folder.is_dir():
        raise UserError(f"[audit] masks: there is no folder {folder}")
    files = {file.stem: file for file in sorted(folder.iterdir()) if looks_like_image(file.name)}
    masks, known = np.zeros((len(images), size, size), bool), np.zeros(len(images), bool)
    for row, image in enumerate(images):
        file = files.get(Path(image).stem)
        if file is not None:
            masks[row] = squared(_read(file), size)
            known[row] = masks[row].any()
    return Lungs(masks, known, "masks", f"the masks in {folder.name}, as they are")


def squared(mask: np.ndarray, size: int) -> np.ndarray:
    """A bool mask [h, w] as a square, nearest neighbour."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(picture) > 127


def _read(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as opened:
            grey = np.asarray(opened.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"the lung mask {file} cannot be read ({error}); mend it or take it away") from error
    return grey > grey.max() / 2


# Lung boxes from a table: fractions of width and height, one or more boxes an image.

COLUMNS = ("filename", "x", "y", "width", "height")
SLACK = 0.001  # of rounded fractions


def from_table(path: Path, images: Sequence[str], size: int) -> Lungs:
    """The boxes of these images, filled.

    Args:
        path: of a CSV file with `COLUMNS`: the image's name, its box's left upper corner and extent as fractions in
            [0, 1] of the image's width and height. Several rows an image, as one a lung, are united.
        images: names.
        size: side of the squares.

    Raises:
        UserError: the file is absent or lacks a column, or a box is no numbers, empty or not inside of the image.
    """
    rows = read_table(path, COLUMNS).rows
    values = rows[list(COLUMNS[1:])].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not len(rows):
        raise UserError(f"[audit] boxes: {path} holds no box")
    start, extent = values[:, :2], values[:, 2:]
    bad = np.flatnonzero(~((start >= 0) & (extent > 0) & (start + extent <= 1 + SLACK)).all(1))  # NaN is bad
    if len(bad):
        raise UserError(
            f"[audit] boxes: {path}: x, y, width and height are fractions of the image, and a box lies inside of it; "
            f"that of '{rows['filename'].iloc[bad[0]]}' is {values[bad[0]].tolist()}"
        )
    place = {image: row for row, image in enumerate(images)}
    masks, known = np.zeros((len(images), size, size), bool), np.zeros(len(images), bool)
    for image, (x, y, width, height) in zip(rows["filename"], values, strict=True):
        row = place.get(str(image))
        if row is not None:
            top, left = round(y * size), round(x * size)
            masks[
                row, top : max(top + 1, round((y + height) * size)), left : max(left + 1, round((x + width) * size))
            ] = 1
            known[row] = True
    return Lungs(masks, known, "boxes", f"the boxes in {path.name}: about the lungs, with heart and spine between")


# Where nothing says where the lungs are: the same two boxes in every image, and how much they are worth.

# Left, top, width, height as fractions: the mean boxes around the right and the left lung field of the built-in
# phantom, which no real X-ray had a part in.
BOXES = ((0.10, 0.12, 0.36, 0.78), (0.56, 0.12, 0.34, 0.80))

WORTH = (
    "the same two boxes in every image, since nothing says where these lungs are; on 278 images of the paper's cohort "
    "their overlap with the radiologists' boxes (intersection over union) is {share}"
)
MEASURED = "0.67 (mean; 0.50 to 0.81 in nine of ten)"


def fallback(images: int, size: int) -> Lungs:
    """The two boxes, for so many images."""
    mask = np.zeros((size, size), bool)
    for x, y, width, height in BOXES:
        mask[round(y * size) : round((y + height) * size), round(x * size) : round((x + width) * size)] = True
    masks = np.broadcast_to(mask, (images, size, size)).copy()
    return Lungs(masks, np.ones(images, bool), "fallback", WORTH.format(share=MEASURED))


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair of masks, bool [n, h, w] each → [n]; NaN where both are empty."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return np.divide(both, either, out=np.full(len(a), np.nan), where=either > 0)


# Lung masks by a segmenter that the user names: a function of one's own, `package.module:function`.


def from_segmenter(name: str, pixels: np.ndarray) -> Lungs:
    """Every image's mask by that function, which is given a float32 [h, w] in [0, 1] and gives a bool [h, w].

    Args:
        name: `package.module:function`, importable here.
        pixels: float32 [n, size, size] in [0, 1].

    Raises:
        UserError: it cannot be imported, or gives something else.
    """
    module, _, attribute = name.partition(":")
    try:
        segment = getattr(importlib.import_module(module), attribute)
        if not callable(segment):
            raise TypeError(f"{attribute} is no function")
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(
            f"[audit] segmenter: '{name}' cannot be imported ({error}); give package.module:function"
        ) from error
    masks = []
    for image in pixels:
        mask = np.asarray(segment(image.copy()))
        if mask.shape != image.shape or mask.dtype != bool:
            raise UserError(
                f"[audit] segmenter: '{name}' must give a bool mask {list(image.shape)}; got {mask.dtype} "
                f"{list(mask.shape)}"
            )
        masks.append(mask)
    found = np.stack(masks)
    known = np.array([mask.any() for mask in masks])
    return Lungs(found, known, "segmenter", f"the masks that {name} draws, whose worth is not known here")
