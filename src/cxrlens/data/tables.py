"""Reads the CSV table of a data set strictly; an error names the line, or the columns that the table has."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxrlens.errors import UserError

csv.field_size_limit(2**24)  # clinical notes may be longer than the default of 128 KiB
MAX_BYTES = 2**28  # of an unpacked table

_LINE_END = re.compile(r"\r\n|\r|\n")
_SEP = re.compile(r'"?sep=([^\w\r\n" ])"?[;, \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)  # a first line that Excel writes
_SAVE = 'save it as CSV (in Excel: Save As, "CSV UTF-8")'
_OTHER_FORMATS = (
    (b"PK\x03\x04", f"a spreadsheet (.xlsx, .ods) or another ZIP archive, not a CSV file; {_SAVE}"),
    (b"\xd0\xcf\x11\xe0", f"an Excel workbook (.xls), not a CSV file; {_SAVE}"),
    (b"BZh91AY&SY", "packed by bzip2; unpack it, or pack it by gzip"),
    (b"\xfd7zXZ", "packed by xz; unpack it, or pack it by gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it, or pack it by gzip"),
    (b"%PDF", "a PDF, not a CSV file; save the table itself as CSV"),
    (b"\x89PNG", "an image, not a CSV file"),
    (b"PAR1\x15", "a Parquet file, not a CSV file; write it as CSV"),
    (b"<!doctype html", "an HTML page, not a CSV file; download the table itself"),
    (b"<html", "an HTML page, not a CSV file; download the table itself"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the table itself with `git lfs pull`"),
)


@dataclass(frozen=True)
class Table:
    """The records of a CSV file as text.

    Attributes:
        path: path of the file.
        rows: one row per record; cells are `str` without outer spaces, "" where empty.
        lines: first line of each record in the file, from 1.
        unmatched: positions of the records without a row in the joined table.
    """

    path: Path
    rows: pd.DataFrame
    lines: tuple[int, ...]
    unmatched: tuple[int, ...] = ()

    def where(self, row: int) -> str:
        """File name and line of the record at position `row`, for error messages."""
        return f"{self.path.name} line {self.lines[row]}"

    def need(self, columns: Iterable[str]) -> None:
        """Raises `UserError` unless the table has all of `columns`."""
        existing = list(map(str, self.rows.columns))
        absent = [name for name in columns if name not in existing]
        if absent:
            near = {name: difflib.get_close_matches(name, existing, n=1, cutoff=0.6) for name in absent}
            hints = {name: f" (did you mean '{match[0]}'?)" if match else "" for name, match in near.items()}
            names = ", ".join(f"'{name}'{hint}" for name, hint in hints.items())
            raise UserError(f"{self.path} line 1: no column {names}; columns found: {', '.join(existing)}")

    def need_filled(self, column: str) -> None:
        """Raises `UserError` where a cell of `column` is empty."""
        for row, name in enumerate(self.rows[column].tolist()):
            if not name:
                raise UserError(f"{self.where(row)}: the column {column} is empty")

    def joined(self, other: Table, on: Sequence[str]) -> Table:
        """Adds the columns of another table.

        Args:
            other: table whose columns are added.
            on: columns whose cells match the rows of the two tables.

        Returns:
            This table with the added columns; their cells are "" in rows without a match.

        Raises:
            UserError: a table lacks a column of `on`, two rows of `other` have the same cells there, or no row matches.
        """
        self.need(on)
        other.need(on)
        added = [name for name in map(str, other.rows.columns) if name not in self.rows]
        positions: dict[tuple[str, ...], int] = {}
        for row, key in enumerate(other.rows[list(on)].itertuples(index=False, name=None)):
            if positions.setdefault(key, row) != row:
                first = other.lines[positions[key]]
                raise UserError(
                    f"{other.path}: lines {first} and {other.lines[row]} have the same {', '.join(on)} "
                    f"({', '.join(key)}); keep one row for each"
                )
        rows = [positions.get(key) for key in self.rows[list(on)].itertuples(index=False, name=None)]
        if all(row is None for row in rows):
            raise UserError(f"no row of {self.path} matches a row of {other.path} in {', '.join(on)}")
        table = self.rows.copy()
        for name in added:
            cells = other.rows[name].tolist()
            table[name] = pd.Series([cells[row] if row is not None else "" for row in rows], dtype=object)
        return Table(self.path, table, self.lines, tuple(position for position, row in enumerate(rows) if row is None))


def read_table(path: Path, needed: Sequence[str] = ()) -> Table:
    r"""Reads a CSV file with a header line, in UTF-8 (with or without a byte order mark) or UTF-16 (with one).

    The delimiter is the comma, semicolon or tab, whichever gives the header most columns, or the one that a first line
    such as `sep=;` (written by Excel) names. Gzip files are unpacked. Lines may end as on Windows, Unix or old Macs.

    Args:
        path: path of the file.
        needed: columns that the table must have.

    Raises:
        UserError: the file is absent, empty, a spreadsheet or in another encoding; it lacks a column; or a record has
            more or fewer cells than the header, as in a truncated download. The message names the line.
    """
    text, first_line, delimiters = _text(path), 1, ",;\t"
    if named := _SEP.match(text):
        text, first_line, delimiters = text[named.end() :], 2, named[1]
    delimiter = max(delimiters, key=lambda mark: _columns(text, mark))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[list[str]] = []
    lines: list[int] = []
    before = first_line - 1
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                records.append([cell.strip() for cell in record])
                lines.append(before + 1)
            before = reader.line_num + first_line - 1
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num + first_line - 1}: {error}") from error
    if not records:
        raise UserError(f"{path} is empty; it needs a header line with the names of the columns")
    header = _header(path, lines[0], records[0])
    cells = [_cells(path, line, record, len(header)) for record, line in zip(records[1:], lines[1:], strict=True)]
    table = Table(path, pd.DataFrame(cells, columns=header, dtype=object), tuple(lines[1:]))
    table.need(needed)
    return table


def _columns(text: str, delimiter: str) -> int:
    """The number of columns that a delimiter gives the first line that is not empty."""
    try:
        return next(
            (len(record) for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if record), 0
        )
    except csv.Error:
        return 0


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the table {path}: {error.strerror}") from error
    if data[:2] == b"\x1f\x8b":
        data = _unpacked(path, data)
    start = data[:64].lstrip(b" \t\r\n\xef\xbb\xbf")
    for mark, description in _OTHER_FORMATS:
        if start.startswith(mark) or (mark[:1] == b"<" and start.lower().startswith(mark)):
            raise UserError(f"{path} is {description}")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", data[: error.start])) + 1
        raise UserError(
            f"{path} line {line}: not {encoding.upper().removesuffix('-SIG')} text; save the table as UTF-8"
        ) from error
    if "\0" in text:
        line = len(_LINE_END.findall(text[: text.index("\0")])) + 1
        raise UserError(
            f"{path} line {line}: a null byte; this is not a CSV file, or it is UTF-16 text (save the table as UTF-8)"
        )
    return text


def _unpacked(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = packed.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: a damaged or truncated gzip file ({error}); download it again") from error
    if len(unpacked) > MAX_BYTES:
        raise UserError(f"{path}: more than {MAX_BYTES:,} bytes when unpacked; keep only the rows that are needed")
    return unpacked


def _header(path: Path, line: int, record: list[str]) -> list[str]:
    header = [name or f"unnamed {position}" for position, name in enumerate(record, start=1)]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path} line {line}: two columns are called {', '.join(map(repr, repeated))}; rename one")
    return header


def _cells(path: Path, line: int, record: list[str], width: int) -> list[str]:
    if len(record) < width or any(record[width:]):
        hint = "is the file truncated, or is a quote missing?"
        raise UserError(f"{path} line {line}: {len(record)} cells where the header has {width}; {hint}")
    return record[:width]


def extras(rows: pd.DataFrame, used: Iterable[str], reserved: Iterable[str]) -> dict[str, list[object]]:
    """The columns of a table that the cohort does not use, under their own names.

    A column is numeric if all filled cells are plain numbers ("3", "1.5"); codes such as "01" and "1.10" are text.

    Args:
        rows: rows of the table.
        used: columns that the cohort already uses.
        reserved: names of the cohort's own columns; a table's column of such a name is called `table_NAME`.
    """
    columns: dict[str, list[object]] = {}
    for name in [column for column in map(str, rows.columns) if column not in set(used)]:
        cells = rows[name].tolist()
        if any(cells):
            columns[f"table_{name}" if name in set(reserved) else name] = _typed(cells)
    return columns


def _typed(cells: list[str]) -> list[object]:
    if all(_is_number(cell) for cell in cells if cell):
        return [float(cell) if cell else float("nan") for cell in cells]
    return [cell or None for cell in cells]


def _is_number(cell: str) -> bool:
    """Whether a cell is a number that is written back as the same text, so that no two codes become one.

    >>> [cell for cell in ("3", "-1.5", "01", "1.10", "1_000", "nan", "1e5") if _is_number(cell)]
    ['3', '-1.5']
    """
    try:
        number = float(cell)
    except ValueError:
        return False
    return cell in (repr(number), f"{number:.0f}") and number - number == 0
