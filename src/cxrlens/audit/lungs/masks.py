"""Lung masks from a folder: PNG files named like the images, bright where there is lung."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from cxrlens.audit.lungs.regions import Lungs
from cxrlens.data.files import looks_like_image
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
