"""Lung masks from each source: a folder of masks, a table of boxes, a segmenter of the user, or the same two boxes."""

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
    """Masks of the images from PNG files that are bright where there is lung, resized to squares as the images are.

    Args:
        folder: folder of the masks; a mask has the name of its image, with any file extension.
        images: names of the images.
        size: side of the square masks, in pixels.

    Raises:
        UserError: the folder does not exist, or a mask cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"[audit] masks: the folder {folder} does not exist")
    files = {file.stem: file for file in sorted(folder.iterdir()) if looks_like_image(file.name)}
    masks, known = np.zeros((len(images), size, size), bool), np.zeros(len(images), bool)
    for row, image in enumerate(images):
        file = files.get(Path(image).stem)
        if file is not None:
            masks[row] = squared(_read(file), size)
            known[row] = masks[row].any()
    return Lungs(masks, known, "masks", f"the masks in {folder.name}, taken as they are")


def squared(mask: np.ndarray, size: int) -> np.ndarray:
    """A bool mask [h, w] resized to [size, size] by nearest neighbour."""
    resized = Image.fromarray(mask.astype(np.uint8) * 255).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(resized) > 127


def _read(file: Path) -> np.ndarray:
    try:
        with Image.open(file) as opened:
            grey = np.asarray(opened.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"the lung mask {file} cannot be read ({error}); repair or remove it") from error
    return grey > grey.max() / 2


COLUMNS = ("filename", "x", "y", "width", "height")
TOLERANCE = 0.001  # for rounded fractions


def from_table(path: Path, images: Sequence[str], size: int) -> Lungs:
    """Masks of the images from a table of boxes, filled.

    Args:
        path: CSV file with the columns `COLUMNS`: name of the image, and upper left corner, width and height of the box
            as fractions in [0, 1] of the image's width and height. Several boxes of an image, such as one for each
            lung,
            are joined.
        images: names of the images.
        size: side of the square masks, in pixels.

    Raises:
        UserError: the file is absent or lacks a column, or a box is not numeric, is empty or reaches out of the image.
    """
    rows = read_table(path, COLUMNS).rows
    values = rows[list(COLUMNS[1:])].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not len(rows):
        raise UserError(f"[audit] boxes: {path} contains no box")
    start, extent = values[:, :2], values[:, 2:]
    bad = np.flatnonzero(~((start >= 0) & (extent > 0) & (start + extent <= 1 + TOLERANCE)).all(1))  # NaN is bad
    if len(bad):
        raise UserError(
            f"[audit] boxes: {path}: x, y, width and height must be fractions of the image, and a box must lie "
            f"inside it; the box of '{rows['filename'].iloc[bad[0]]}' is {values[bad[0]].tolist()}"
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
    return Lungs(
        masks, known, "boxes", f"the boxes in {path.name}: they surround the lungs, and include the heart and the spine"
    )


# Left, top, width and height as fractions: the mean boxes around the right and the left lung field of the built-in
# phantom. No real X-ray contributed to them.
BOXES = ((0.10, 0.12, 0.36, 0.78), (0.56, 0.12, 0.34, 0.80))

WORTH = (
    "the same two boxes in every image, which are not fitted to these lungs; on 278 images of the paper's cohort "
    "their overlap with the radiologists' boxes (intersection over union) is {share}"
)
MEASURED = "0.67 (mean; 0.50 to 0.81 in 90% of the images)"


def fallback(images: int, size: int) -> Lungs:
    """The two fixed boxes as the lung regions of `images` images."""
    mask = np.zeros((size, size), bool)
    for x, y, width, height in BOXES:
        mask[round(y * size) : round((y + height) * size), round(x * size) : round((x + width) * size)] = True
    masks = np.broadcast_to(mask, (images, size, size)).copy()
    return Lungs(masks, np.ones(images, bool), "fallback", WORTH.format(share=MEASURED))


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of pairs of masks, bool [n, h, w] each → [n]; NaN where both are empty."""
    intersection, union = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return np.divide(intersection, union, out=np.full(len(a), np.nan), where=union > 0)


def from_segmenter(name: str, pixels: np.ndarray) -> Lungs:
    """Masks of the images by a function of the user, which maps float32 [h, w] in [0, 1] to a bool mask [h, w].

    Args:
        name: `package.module:function` of an importable function.
        pixels: images, float32 [n, size, size] in [0, 1].

    Raises:
        UserError: the function cannot be imported, or returns something else.
    """
    module, _, attribute = name.partition(":")
    try:
        segment = getattr(importlib.import_module(module), attribute)
        if not callable(segment):
            raise TypeError(f"{attribute} is not a function")
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(
            f"[audit] segmenter: '{name}' cannot be imported ({error}); give package.module:function"
        ) from error
    masks = []
    for image in pixels:
        mask = np.asarray(segment(image.copy()))
        if mask.shape != image.shape or mask.dtype != bool:
            raise UserError(
                f"[audit] segmenter: '{name}' must return a bool mask {list(image.shape)}; got {mask.dtype} "
                f"{list(mask.shape)}"
            )
        masks.append(mask)
    known = np.array([mask.any() for mask in masks])
    return Lungs(np.stack(masks), known, "segmenter", f"the masks of {name}; their accuracy was not measured")
