"""From a table's rows to a cohort: each listed name to its file below the root, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.files import Files, relative_name
from cxrlens.data.images import read_image
from cxrlens.data.tables import Table
from cxrlens.errors import UserError
from cxrlens.names import path_of


def read_below(root: Path, path: str) -> Decoded:
    """Reads the image at `path`, relative to `root`."""
    return read_image(path_of(path, root))


def listed_cohort(
    name: str,
    table: Table,
    image: str,
    rows: Mapping[str, Sequence[object]],
    kept: Sequence[int],
    files: Files,
    left_out: Mapping[str, int],
    base: Path,
) -> Cohort:
    """A cohort of the records at the positions `kept` of a table.

    Args:
        name: of the source.
        table: the whole table: files of records that are left out are listed files all the same.
        image: the column that names the file.
        rows: the cohort's columns (and extras) of the kept records.
        kept: positions of the kept records, ascending.
        files: what lies below the root.
        left_out: reason → records left out.
        base: the folder that the names are relative to.

    Raises:
        UserError: an image is listed twice, a name leads out of the folder, nothing is kept, no file is there.
    """
    table.need_unique(image)
    found: dict[int, tuple[str | None, str]] = {}
    names = table.rows[image].tolist()
    for row, cell in enumerate(names):
        relative = relative_name(cell, base)
        if relative is None:
            raise UserError(f"{table.where(row)}: '{cell}' leads out of {base}: refused; name files below it")
        found[row] = files.find(relative)
    if not kept:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the table has no rows"
        raise UserError(f"{table.path}: no image is left for the study: {reasons}")
    frame = cohort_table(pd.DataFrame({**rows, "image": [names[row] for row in kept]}))
    frame["path"] = pd.Series([found[row][0] for row in kept], dtype=object)  # as on disk, spaces included
    missing = {names[row]: found[row][1] for row in kept if found[row][0] is None}
    if len(missing) == len(kept):
        first, reason = next(iter(missing.items()))
        raise UserError(
            f"none of the {len(kept)} listed files was found below {base}; the first is '{first}': {reason}"
        )
    unlisted = files.unlisted(path for path, _ in found.values() if path is not None)
    return Cohort(name, frame, partial(read_below, files.root), missing, dict(left_out), unlisted)
