"""Builds a cohort from the rows of a table: finds the file of each row, or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.files import Files, loose_name, relative_name
from cxrlens.data.images import read_image
from cxrlens.data.tables import Table
from cxrlens.errors import UserError
from cxrlens.names import path_of
from cxrlens.text import first_few, many

MUST_AGREE = ("label", "patient")  # columns in which all rows of a file must agree


def read_below(data_dir: Path, path: str) -> Decoded:
    """Reads the image at `path`, relative to `data_dir`."""
    return read_image(path_of(path, data_dir))


def view_reason(views: Collection[str], view: str) -> str:
    """Why a study leaves out an image of a view; "" where it keeps the image.

    Args:
        views: views that the study keeps; empty keeps all.
        view: view of the image; "" where the table states none.
    """
    return f"view {view or 'not stated'}" if views and view not in views else ""


def select_rows(labels: Iterable[tuple[float, str]]) -> tuple[list[int], list[float], Counter[str]]:
    """Selects the rows that a study keeps.

    Args:
        labels: label of each row, and why the row is left out ("" where it is selected).

    Returns:
        Positions of the selected rows, their labels, and reason → number of rows left out.

    >>> select_rows([(1.0, ""), (0.0, "view L"), (0.0, "")])
    ([0, 2], [1.0, 0.0], Counter({'view L': 1}))
    """
    rows = list(labels)
    selected = [row for row, (_, reason) in enumerate(rows) if not reason]
    return selected, [rows[row][0] for row in selected], Counter(reason for _, reason in rows if reason)


def listed_cohort(
    name: str,
    table: Table,
    image: str,
    rows: Mapping[str, Sequence[object]],
    selected: Sequence[int],
    files: Files,
    left_out: Mapping[str, int],
    base: Path,
    *,
    suffix: str = "",
    warnings: Sequence[str] = (),
) -> Cohort:
    """Builds the cohort of the selected records of a table.

    A file is one image, however the rows write its name. Several rows of a file with the same label and patient count
    once; a column in which they differ is left empty.

    Args:
        name: name of the data source.
        table: whole table; files of records that are left out count as listed too.
        image: column that names the file.
        rows: columns of the cohort and other columns, for the selected records.
        selected: positions of the selected records, ascending.
        files: files below the data folder.
        left_out: reason → number of records left out.
        base: folder that the names are relative to.
        suffix: suffix that is added to names without it.
        warnings: warnings of the source.

    Raises:
        UserError: an image is listed with two labels or patients, a name leads out of the folder, no record is selected
            or no file exists.
    """
    table.need_filled(image)
    names = table.rows[image].tolist()
    row_files = find_rows(table, names, files, base, suffix)
    if not selected:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the table has no rows"
        raise UserError(f"{table.path}: no image is left for the study: {reasons}")
    all_warnings = list(warnings)
    frame = pd.DataFrame({**rows, "image": [names[row] for row in selected]}, index=list(selected))
    frame = frame.drop(index=_merge(table, names, frame, [file.file_id for file in row_files], all_warnings))
    images = [row_files[row] for row in frame.index]
    missing = {names[row]: row_files[row].reason for row in frame.index if row_files[row].path is None}
    frame = cohort_table(frame)
    frame["path"] = pd.Series([file.path for file in images], dtype=object)  # as on disk, spaces included
    if len(missing) == len(frame):
        first, reason = next(iter(missing.items()))
        raise UserError(f"none of the {len(frame)} listed files exists below {base}; the first is '{first}': {reason}")
    nested = {file.path: names[row] for row, file in enumerate(row_files) if file.nested}
    if nested:
        path, cell = next(iter(nested.items()))
        above = {_folders_above(path, cell) for path, cell in nested.items() if path is not None}
        folder = next(iter(above)) if len(above) == 1 else None
        hint = f'; write images = "{folder}" in [data] to say so' if folder and name == "csv_table" else ""
        all_warnings.append(
            f"{many(len(nested), 'listed file', 'were')} found in folders that the table does not name "
            f"('{cell}': {path}){hint}"
        )
    listed = {file.path for file in row_files if file.path is not None}
    others = files.others([*listed, _below(table.path, files.data_dir)])
    return Cohort(
        name,
        frame,
        partial(read_below, files.data_dir),
        missing,
        dict(left_out),
        files.unlisted(listed),
        others,
        tuple(all_warnings),
        data_dir=files.data_dir,
    )


@dataclass(frozen=True)
class RowFile:
    """The file of a table's row.

    Attributes:
        path: path relative to the data folder; None where no file is found.
        reason: why no file is found; "" where one is.
        file_id: identifier of the file, equal for all rows of a file.
        nested: whether the file lies in a folder that the row does not name.
        several: paths that all match the row, where several do.
    """

    path: str | None
    reason: str
    file_id: str
    nested: bool = False
    several: tuple[str, ...] = ()


def find_rows(table: Table, names: Sequence[str], files: Files, base: Path, suffix: str = "") -> list[RowFile]:
    """Finds the file that each row of a table names.

    Args:
        table: table of the rows, for the line in an error.
        names: file name of each row, relative to `base`; "" names no file.
        files: files below the data folder.
        base: folder that the names are relative to.
        suffix: suffix that is added to names without it.

    Raises:
        UserError: a name leads out of `base`.
    """
    above = Path(base).resolve().parts
    row_files = []
    for row, cell in enumerate(names):
        if not cell:
            row_files.append(RowFile(None, "no name", ""))
            continue
        relative = relative_name(cell.removesuffix(suffix) + suffix, base)
        if relative is None:
            raise UserError(f"{table.where(row)}: '{cell}' leads out of {base} and is refused; name a file below it")
        path, reason = files.find(relative)
        parts = PurePosixPath(relative).parts
        for start in range(1, len(parts)):  # a name that begins with that of the data folder
            if path is None and parts[:start] == above[-start:]:
                path, reason = files.find("/".join(parts[start:]))
                relative = "/".join(parts[start:]) if path is not None else relative
        if path is None:
            matches = files.matching(relative)
            several = tuple(matches) if len(matches) > 1 else ()
            row_files.append(RowFile(None, reason, f"no file: {loose_name(relative)}", several=several))
        else:
            row_files.append(RowFile(path, "", files.same_file(path), files.is_nested(relative, path)))
    return row_files


def _merge(
    table: Table, names: Sequence[str], frame: pd.DataFrame, file_ids: Sequence[str], warnings: list[str]
) -> list[int]:
    """The rows of `frame` that name an image again; cells that differ among the rows of an image are emptied."""
    groups: dict[str, list[int]] = {}
    for row, file_id in enumerate(file_ids):
        groups.setdefault(file_id, []).append(row)
    cells = {str(name): dict(zip(frame.index, map(_as_text, frame[name]), strict=True)) for name in frame}
    agreeing = [name for name in MUST_AGREE if name in cells]
    selected = set(frame.index)

    def description(row: int) -> str:
        known = [f"{name} {cells[name][row]}" for name in agreeing if row in selected]
        return ", ".join(known) or "left out by the study"

    repeated: list[int] = []
    faults: list[str] = []
    differing: dict[str, list[int]] = {}
    for group in groups.values():
        if len(group) == 1 or selected.isdisjoint(group):
            continue
        first = group[0]
        other = next((row for row in group if description(row) != description(first)), None)
        if other is not None:
            pair = (f"'{names[row]}' in line {table.lines[row]} ({description(row)})" for row in (first, other))
            faults.append(" and ".join(pair))
            continue
        for name, column in cells.items():
            if name not in ("image", *MUST_AGREE) and len({column[row] for row in group}) > 1:
                differing.setdefault(name, []).append(first)
        repeated += group[1:]
    for name, rows in differing.items():
        frame.loc[rows, name] = None
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UserError(
            f"{table.path}: an image is listed twice: {'; '.join(faults[:5])}{more}; keep one row for each image"
        )
    if repeated:
        lines = first_few([str(table.lines[row]) for row in repeated], 5)
        emptied = f"; columns that differ among its rows are left empty: {', '.join(differing)}" if differing else ""
        warnings.append(
            f"{many(len(repeated), 'row', 'name')} an image that a row above names, with the same label, and "
            f"{'counts' if len(repeated) == 1 else 'count'} once (line{'' if len(repeated) == 1 else 's'} {lines})"
            f"{emptied}"
        )
    return repeated


def _as_text(value: object) -> str:
    if value is None or value != value:
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value) or "unknown"


def _folders_above(path: str, cell: str) -> str:
    """The folders of a path above those that a table's cell names; "" where the cell names other folders."""
    folders, named = PurePosixPath(path).parts[:-1], PurePosixPath(cell.replace("\\", "/")).parts[:-1]
    agree = folders[len(folders) - len(named) :] == named
    return "/".join(folders[: len(folders) - len(named)]) if agree else ""


def _below(path: Path, data_dir: Path) -> str:
    """The path relative to the data folder; "" where it is not below it."""
    return path.relative_to(data_dir).as_posix() if path.is_relative_to(data_dir) else ""
