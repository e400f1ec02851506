"""Lung boxes from a table: fractions of width and height, one or more boxes an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxrlens.audit.lungs.regions import Lungs
from cxrlens.data.tables import read_table
from cxrlens.errors import UserError

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
