"""From a table's rows to a cohort: each listed name to its file below the root, or to the reason why there is none."""

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

MUST_AGREE = ("label", "patient")  # of rows that name one file


def read_below(data_dir: Path, path: str) -> Decoded:
    """Reads the image at `path`, relative to `data_dir`."""
    return read_image(path_of(path, data_dir))


def view_reason(views: Collection[str], view: str) -> str:
    """Why a study that keeps some views leaves an image out; "" where it does not, as where it keeps all."""
    return f"view {view or 'not stated'}" if views and view not in views else ""


def kept_rows(judged: Iterable[tuple[float, str]]) -> tuple[list[int], list[float], Counter[str]]:
    """The rows that a study keeps.

    Args:
        judged: of each row, its label, and "" or why it is left out.

    Returns:
        The positions that are kept, their labels, and reason → rows left out.

    >>> kept_rows([(1.0, ""), (0.0, "view L"), (0.0, "")])
    ([0, 2], [1.0, 0.0], Counter({'view L': 1}))
    """
    rows = list(judged)
    kept = [row for row, (_, reason) in enumerate(rows) if not reason]
    return kept, [rows[row][0] for row in kept], Counter(reason for _, reason in rows if reason)


def listed_cohort(
    name: str,
    table: Table,
    image: str,
    rows: Mapping[str, Sequence[object]],
    kept: Sequence[int],
    files: Files,
    left_out: Mapping[str, int],
    base: Path,
    *,
    suffix: str = "",
    warnings: Sequence[str] = (),
) -> Cohort:
    """A cohort of the records at the positions `kept` of a table.

    One file is one image, however its rows write its name. Rows that name it again with the same label and patient
    count once; a column in which they differ is left empty there.

    Args:
        name: of the source.
        table: the whole table: files of records that are left out are listed files all the same.
        image: the column that names the file.
        rows: the cohort's columns (and extras) of the kept records.
        kept: positions of the kept records, ascending.
        files: what lies below the root.
        left_out: reason → records left out.
        base: the folder that the names are relative to.
        suffix: added to names that do not end in it.
        warnings: sentences of the source.

    Raises:
        UserError: an image is listed twice with two labels or patients, a name leads out of the folder, nothing is
            kept, no file is there.
    """
    table.need_filled(image)
    names = table.rows[image].tolist()
    found = find_rows(table, names, files, base, suffix)
    if not kept:
        reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the table has no rows"
        raise UserError(f"{table.path}: no image is left for the study: {reasons}")
    told = list(warnings)
    frame = pd.DataFrame({**rows, "image": [names[row] for row in kept]}, index=list(kept))
    frame = frame.drop(index=_merge(table, names, frame, [each.file for each in found], told))
    images = [found[row] for row in frame.index]
    missing = {names[row]: found[row].reason for row in frame.index if found[row].path is None}
    frame = cohort_table(frame)
    frame["path"] = pd.Series([each.path for each in images], dtype=object)  # as on disk, spaces included
    if len(missing) == len(frame):
        first, reason = next(iter(missing.items()))
        raise UserError(
            f"none of the {len(frame)} listed files was found below {base}; the first is '{first}': {reason}"
        )
    nested = {each.path: names[row] for row, each in enumerate(found) if each.nested}
    if nested:
        path, cell = next(iter(nested.items()))
        above = {_above(each, called) for each, called in nested.items() if each is not None}
        folder = next(iter(above)) if len(above) == 1 else None
        hint = f'; write images = "{folder}" in [data] to say so' if folder and name == "csv_table" else ""
        told.append(
            f"{many(len(nested), 'listed file', 'were')} found in folders that the table does not name "
            f"('{cell}': {path}){hint}"
        )
    listed = {each.path for each in found if each.path is not None}
    others = files.others([*listed, _below(table.path, files.data_dir)])
    return Cohort(
        name,
        frame,
        partial(read_below, files.data_dir),
        missing,
        dict(left_out),
        files.unlisted(listed),
        others,
        tuple(told),
    )


@dataclass(frozen=True)
class FoundFile:
    """The file of one row of a table.

    Attributes:
        path: relative to the data folder; None where there is none.
        reason: why there is none.
        file: equal for rows of one file.
        nested: whether the file lies in a folder that the row does not name.
        several: the paths that all fit, where there is none for that.
    """

    path: str | None
    reason: str
    file: str
    nested: bool = False
    several: tuple[str, ...] = ()


def find_rows(table: Table, names: Sequence[str], files: Files, base: Path, suffix: str = "") -> list[FoundFile]:
    """The file that each row of a table names.

    Args:
        table: for the line in an error.
        names: one a row, relative to `base`; "" names no file.
        files: what lies below the data folder.
        base: the folder that the names are relative to.
        suffix: added to names that do not end in it.

    Raises:
        UserError: a name leads out of `base`.
    """
    above = Path(base).resolve().parts
    found = []
    for row, cell in enumerate(names):
        if not cell:
            found.append(FoundFile(None, "no name", ""))
            continue
        relative = relative_name(cell.removesuffix(suffix) + suffix, base)
        if relative is None:
            raise UserError(f"{table.where(row)}: '{cell}' leads out of {base}: refused; name files below it")
        path, reason = files.find(relative)
        parts = PurePosixPath(relative).parts
        for start in range(1, len(parts)):  # a name that begins with the data folder's own
            if path is None and parts[:start] == above[-start:]:
                path, reason = files.find("/".join(parts[start:]))
                relative = "/".join(parts[start:]) if path is not None else relative
        if path is None:
            hits = files.fitting(relative)
            several = tuple(hits) if len(hits) > 1 else ()
            found.append(FoundFile(None, reason, f"no file: {loose_name(relative)}", several=several))
        else:
            found.append(FoundFile(path, "", files.same_file(path), files.is_nested(relative, path)))
    return found


def _merge(table: Table, names: Sequence[str], frame: pd.DataFrame, file: Sequence[str], told: list[str]) -> list[int]:
    """The rows of `frame` that name an image again; what differs among those of one image is emptied in the first."""
    groups: dict[str, list[int]] = {}
    for row, each in enumerate(file):
        groups.setdefault(each, []).append(row)
    cells = {str(name): dict(zip(frame.index, map(_shown, frame[name]), strict=True)) for name in frame}
    agreeing = [name for name in MUST_AGREE if name in cells]
    kept = set(frame.index)

    def said(row: int) -> str:
        known = [f"{name} {cells[name][row]}" for name in agreeing if row in kept]
        return ", ".join(known) or "left out by the study"

    again: list[int] = []
    faults: list[str] = []
    differing: dict[str, list[int]] = {}
    for group in groups.values():
        if len(group) == 1 or kept.isdisjoint(group):
            continue
        first = group[0]
        other = next((row for row in group if said(row) != said(first)), None)
        if other is not None:
            pair = (f"'{names[row]}' in line {table.lines[row]} ({said(row)})" for row in (first, other))
            faults.append(" and ".join(pair))
            continue
        for name, column in cells.items():
            if name not in ("image", *MUST_AGREE) and len({column[row] for row in group}) > 1:
                differing.setdefault(name, []).append(first)
        again += group[1:]
    for name, rows in differing.items():
        frame.loc[rows, name] = None
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UserError(
            f"{table.path}: one image is listed twice: {'; '.join(faults[:5])}{more}; keep one row an image"
        )
    if again:
        lines = first_few([str(table.lines[row]) for row in again], 5)
        emptied = f"; columns that differ among its rows are left empty: {', '.join(differing)}" if differing else ""
        told.append(
            f"{many(len(again), 'row', 'name')} an image that a row above names, with the same label, and "
            f"{'counts' if len(again) == 1 else 'count'} once (line{'' if len(again) == 1 else 's'} {lines}){emptied}"
        )
    return again


def _shown(value: object) -> str:
    if value is None or value != value:
        return "unknown"
    return f"{value:g}" if isinstance(value, float) else str(value) or "unknown"


def _above(path: str, cell: str) -> str:
    """The folders of a path that come before those that a table's cell names; '' where these differ."""
    folders, told = PurePosixPath(path).parts[:-1], PurePosixPath(cell.replace("\\", "/")).parts[:-1]
    fits = folders[len(folders) - len(told) :] == told
    return "/".join(folders[: len(folders) - len(told)]) if fits else ""


def _below(path: Path, data_dir: Path) -> str:
    return path.relative_to(data_dir).as_posix() if path.is_relative_to(data_dir) else ""
