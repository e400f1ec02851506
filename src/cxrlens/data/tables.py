"""A data set's own table, read strictly: every fault is told with its line and the columns that were found."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxrlens.errors import UserError

csv.field_size_limit(2**24)  # clinical notes can pass the default of 128 KiB


@dataclass(frozen=True)
class Table:
    """A CSV file as text.

    Attributes:
        path: of the file.
        rows: one row a record, every cell `str` without outer spaces, "" where empty.
        lines: each record's first line in the file, from 1.
    """

    path: Path
    rows: pd.DataFrame
    lines: tuple[int, ...]

    def where(self, row: int) -> str:
        """How to call the record at position `row` in an error."""
        return f"{self.path.name} line {self.lines[row]}"

    def need(self, columns: Iterable[str]) -> None:
        """Raises `UserError` unless every one of `columns` is there."""
        found = list(map(str, self.rows.columns))
        absent = [name for name in columns if name not in found]
        if absent:
            near = {name: difflib.get_close_matches(name, found, n=1, cutoff=0.6) for name in absent}
            wanted = ", ".join(f"'{name}'" + (f" (is it '{hit[0]}'?)" if hit else "") for name, hit in near.items())
            raise UserError(f"{self.path} line 1: no column {wanted}; columns found: {', '.join(found)}")

    def need_unique(self, column: str) -> None:
        """Raises `UserError` when a cell of `column` is empty or stands in two rows."""
        first: dict[str, int] = {}
        repeats = []
        for row, name in enumerate(self.rows[column].tolist()):
            if not name:
                raise UserError(f"{self.where(row)}: no {column}")
            if name in first:
                repeats.append(f"'{name}' in lines {self.lines[first[name]]} and {self.lines[row]}")
            first.setdefault(name, row)
        if repeats:
            more = f" and {len(repeats) - 5} more" if len(repeats) > 5 else ""
            raise UserError(
                f"{self.path}: {column} names an image twice: {'; '.join(repeats[:5])}{more}; keep one row an image"
            )


def read_table(path: Path, needed: Sequence[str] = (), delimiters: str = ",") -> Table:
    r"""Reads a CSV file with a header line; UTF-8 with or without a byte order mark, or UTF-16 with one.

    Args:
        path: of the file.
        needed: columns that must be there.
        delimiters: those allowed; the one that parts the header into most columns is used.

    Raises:
        UserError: the file is absent, empty, of another encoding, lacks a column, or a record has more or fewer cells
            than the header (a download that was cut off); with the line.
    """
    text = _text(path)
    header_line = text.split("\n", 1)[0]
    delimiter = max(delimiters, key=lambda mark: len(next(csv.reader([header_line], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[list[str]] = []
    lines: list[int] = []
    before = 0
    try:
        for record in reader:
            if any(cell.strip() for cell in record):
                records.append([cell.strip() for cell in record])
                lines.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num}: {error}") from error
    if not records:
        raise UserError(f"{path} is empty; a header line with the names of the columns is needed")
    header = _header(path, records[0])
    cells = [_cells(path, line, record, len(header)) for record, line in zip(records[1:], lines[1:], strict=True)]
    table = Table(path, pd.DataFrame(cells, columns=header, dtype=object), tuple(lines[1:]))
    table.need(needed)
    return table


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the table {path}: {error.strerror}") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} line {line}: not {encoding.upper().removesuffix('-SIG')} text; save the table as UTF-8"
        ) from error
    if "\0" in text:
        raise UserError(
            f"{path} line {text[: text.index(chr(0))].count(chr(10)) + 1}: a null byte; this is no CSV file"
        )
    return text


def _header(path: Path, record: list[str]) -> list[str]:
    header = [name or f"unnamed {position}" for position, name in enumerate(record, start=1)]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path} line 1: two columns are called {', '.join(map(repr, repeated))}; rename one")
    return header


def _cells(path: Path, line: int, record: list[str], width: int) -> list[str]:
    if len(record) < width or any(record[width:]):
        hint = "is the file cut off, or a quote missing?"
        raise UserError(f"{path} line {line}: {len(record)} cells where the header has {width}; {hint}")
    return record[:width]


def extras(rows: pd.DataFrame, taken: Iterable[str], reserved: Iterable[str]) -> dict[str, list[object]]:
    """The columns that a cohort has no place for, kept under their own names.

    A column is numbers where every filled cell is written as a number is ("3", "1.5"); codes such as "01" and "1.10"
    are text.

    Args:
        rows: a table's rows.
        taken: columns already used.
        reserved: names that the cohort uses itself; such a column is called `table_NAME`.
    """
    kept: dict[str, list[object]] = {}
    for name in [column for column in map(str, rows.columns) if column not in set(taken)]:
        cells = rows[name].tolist()
        if any(cells):
            kept[f"table_{name}" if name in set(reserved) else name] = _typed(cells)
    return kept


def _typed(cells: list[str]) -> list[object]:
    if all(_is_number(cell) for cell in cells if cell):
        return [float(cell) if cell else float("nan") for cell in cells]
    return [cell or None for cell in cells]


def _is_number(cell: str) -> bool:
    """Whether the number alone gives the same text again, so that no two codes become one.

    >>> [cell for cell in ("3", "-1.5", "01", "1.10", "1_000", "nan", "1e5") if _is_number(cell)]
    ['3', '-1.5']
    """
    try:
        number = float(cell)
    except ValueError:
        return False
    return cell in (repr(number), f"{number:.0f}") and number - number == 0
