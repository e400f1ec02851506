"""Experts' scores of single images, from a table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxrlens.errors import UserError


def read_severity(path: Path, images: Sequence[str]) -> dict[str, np.ndarray]:
    """Every column of numbers, as float [n] in the order of `images`, NaN where there is none.

    Args:
        path: CSV with a column `filename` and one column a score; lines that start with # are skipped.
        images: names.

    Raises:
        UserError: the file is absent or no table, holds no `filename`, or names an image twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"[audit] severity: cannot read {path} ({error})") from error
    try:
        kept = "\n".join(line for line in lines if not line.startswith("#"))
        table = pd.read_csv(io.StringIO(kept), dtype=str, keep_default_na=False)  # an image may be called "NA"
    except ValueError as error:  # pandas: no line at all, or one with too many cells
        raise UserError(f"[audit] severity: {path} is no table ({error}); a column filename is needed") from error
    if "filename" not in table:
        raise UserError(
            f"[audit] severity: {path} needs a column filename; it has {', '.join(map(str, table.columns))}"
        )
    if table["filename"].duplicated().any():
        twice = table["filename"][table["filename"].duplicated()].iloc[0]
        raise UserError(f"[audit] severity: {path} scores '{twice}' twice; keep one row an image")
    scores = table.set_index("filename").reindex(list(images)).apply(pd.to_numeric, errors="coerce")
    return {
        str(name).replace("_", " "): column.to_numpy(float) for name, column in scores.items() if column.notna().any()
    }
