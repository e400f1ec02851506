"""Where results may be written: over nothing that is read, and over nothing that cxrlens did not write itself.

A file is known as an earlier result of the same command by a mark inside it: the program's name in a picture, the same
header in a table, the same keys in a JSON file; a folder by a small file that says what it holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.names import shortened
from cxrlens.text import first_few

PROGRAM = "cxrlens"
FOLDER_MARK = ".cxrlens.json"
NOISE = {".lock", ".DS_Store", "Thumbs.db", "desktop.ini"}  # of the folder's viewer; says nothing of who wrote it
MOST_TEXT = 2**28  # bytes of a JSON file that is looked into


def check_output(
    path: Path,
    what: str,
    written_by_us: Callable[[Path], bool],
    inputs: Iterable[Path] = (),
    folders: Iterable[Path] = (),
    force: bool = False,
) -> None:
    """Refuses, before any work is done, a file that must not be written.

    Args:
        path: of the file to be.
        what: such as "the table", for the message.
        written_by_us: whether a file that is there is an earlier result of the same command.
        inputs: files that are read; never written over.
        folders: folders whose files are read; no file in them is written over unless it is an earlier result.
        force: another file that is there may be written over.

    Raises:
        UserError: the path is a folder, a file that is read, or a file of another kind and `force` is not set; or its
            folder cannot be there.
    """
    _check_name(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder, and {what} is a file: name one in it, such as {path / 'NAME'}")
    _check_parent(path)
    for each in inputs:
        if same_file(path, each):
            raise UserError(f"{what} would be written over {each}, which is read here; choose another --out")
    if not os.path.lexists(path) or written_by_us(path):
        return
    for folder in folders:
        if path.exists() and _real(path).is_relative_to(_real(folder)):
            raise UserError(f"{what} would be written over {path}, a file of what is read here; choose another --out")
    if not force:
        raise UserError(
            f"{path} is there already, and is no earlier result of this command; choose another --out, or write over "
            "it with --force"
        )


def check_folder(path: Path, kind: str, is_older: Callable[[], bool] = lambda: False) -> None:
    """Refuses a folder that holds somebody's files; a new one, an empty one and one of the same kind are taken.

    Args:
        path: of the folder.
        kind: such as "run".
        is_older: asked where the folder does not say what it is.

    Raises:
        UserError: it is a file, or holds something else.
    """
    _check_name(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise UserError(f"{path} is a file; the {kind} needs a folder: choose another --out")
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.name not in NOISE)
    except OSError as error:
        raise UserError(f"cannot look into {path}: {error.strerror}; choose another --out") from error
    if FOLDER_MARK in names:
        held = _json(path / FOLDER_MARK).get("kind")
        if held != kind:
            raise UserError(f"{path} is a {held or 'damaged'} folder, not a {kind} folder; choose another --out")
    elif names and not is_older():
        raise UserError(
            f"{path} is no {kind} folder and is not empty ({first_few(names, 3)}); choose a new or an empty folder "
            "with --out"
        )


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file, by whatever links and spellings."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.normcase(_real(one)) == os.path.normcase(_real(other))


def picture_by(command: str) -> Callable[[Path], bool]:
    """Whether a PNG, PDF or SVG was drawn by a command, such as "explain"."""

    def written(path: Path) -> bool:
        mark = drawn_by(command).encode()
        data = _bytes(path)
        if data.startswith(b"\x89PNG"):
            return b"tEXtSoftware\0" + mark in data[:4096]
        if data.startswith(b"%PDF"):
            return b"/Creator (" + mark + b")" in data
        return b"<svg" in data[:4096] and mark in data[:8192]

    return written


def drawn_by(command: str) -> str:
    """What a picture says of who drew it."""
    return f"{PROGRAM} {command}"


def picture_facts(path: Path, command: str) -> dict[str, str | None]:
    """Matplotlib's `metadata` of a picture, by its ending: who drew it, and no date."""
    mark, suffix = drawn_by(command), path.suffix.lower()
    if suffix == ".png":
        return {"Software": mark}
    if suffix == ".pdf":
        return {"CreationDate": None, "Creator": mark, "Producer": None}
    return {"Date": None, "Creator": mark}


def table_of(columns: Sequence[str]) -> Callable[[Path], bool]:
    """Whether a CSV has these columns, as cxrlens writes them (others may follow, or stand between)."""
    wanted = list(columns)

    def written(path: Path) -> bool:
        import csv
        import io

        first = _bytes(path, 2**20).decode("utf-8", "replace")
        row = next(csv.reader(io.StringIO(first)), [])
        return row[:1] == wanted[:1] and set(wanted) <= set(row)

    return written


def json_of(*keys: str) -> Callable[[Path], bool]:
    """Whether a JSON file is an object with these keys."""
    return lambda path: set(keys) <= _json(path).keys()


def text_with(mark: str) -> Callable[[Path], bool]:
    """Whether a text says this within its first lines."""
    return lambda path: mark.encode() in _bytes(path, 4096)


def _check_name(path: Path) -> None:
    """Refuses a name that the file system cannot have: too long, or with a zero in it."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # said in words of their own
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot write {shortened(str(path), 120)}: {why}; choose another --out") from error


def _check_parent(path: Path) -> None:
    above = path.absolute().parent
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise UserError(f"cannot write {path}: {above} is no folder; choose another --out")
    if not os.access(above, os.W_OK):
        raise UserError(f"cannot write {path}: {above} may not be written; choose another --out")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _bytes(path: Path, most: int = MOST_TEXT) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError:
        return b""


def _json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
