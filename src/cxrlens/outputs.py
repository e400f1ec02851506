"""Where results may be written: never over a file that is read, and only over earlier results of cxrlens.

A mark inside a file identifies it as an earlier result of the same command: the program's name in a picture, the header
of a table, the keys of a JSON file. A folder is identified by a small file that names its kind.
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
NOISE = {
    ".lock",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
}  # files of viewers and locks, which do not tell who wrote the folder
MAX_BYTES = 2**28  # of a file that is searched for its mark


def check_output(
    path: Path,
    what: str,
    written_by_us: Callable[[Path], bool],
    inputs: Iterable[Path] = (),
    folders: Iterable[Path] = (),
    force: bool = False,
) -> None:
    """Checks, before any work is done, that an output file may be written.

    Args:
        path: path of the output file.
        what: name of the output in messages, such as "the table".
        written_by_us: function that tells whether an existing file is an earlier result of the same command.
        inputs: files that the command reads; they are never overwritten.
        folders: folders that the command reads; a file in them is only overwritten if it is an earlier result.
        force: whether any other existing file may be overwritten.

    Raises:
        UserError: the path is a folder, an input, or a file of another kind without `force`; or its folder cannot be
            created or written.
    """
    _check_name(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder, but {what} is a file; name a file in it, such as {path / 'NAME'}")
    _check_parent(path)
    for source in inputs:
        if same_file(path, source):
            raise UserError(f"{what} would overwrite {source}, which this command reads; choose another --out")
    if not os.path.lexists(path) or written_by_us(path):
        return
    for folder in folders:
        if path.exists() and _real(path).is_relative_to(_real(folder)):
            raise UserError(f"{what} would overwrite {path}, which this command reads; choose another --out")
    if not force:
        raise UserError(
            f"{path} exists already and is not an earlier result of this command; choose another --out, or "
            "overwrite it with --force"
        )


def check_folder(path: Path, kind: str, is_older: Callable[[], bool] = lambda: False) -> None:
    """Checks that an output folder is new, empty, or an earlier result of the same kind.

    Args:
        path: path of the folder.
        kind: kind of the folder, such as "run".
        is_older: function that tells whether a folder without a mark is a result of an older version.

    Raises:
        UserError: the path is a file, or the folder holds other files.
    """
    _check_name(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise UserError(f"{path} is a file, but the {kind} needs a folder; choose another --out")
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.name not in NOISE)
    except OSError as error:
        raise UserError(f"cannot read the folder {path}: {error.strerror}; choose another --out") from error
    if FOLDER_MARK in names:
        own_kind = _json(path / FOLDER_MARK).get("kind")
        if own_kind != kind:
            raise UserError(f"{path} is a {own_kind or 'damaged'} folder, not a {kind} folder; choose another --out")
    elif names and not is_older():
        raise UserError(
            f"{path} is not a {kind} folder and is not empty ({first_few(names, 3)}); choose a new or an empty folder "
            "with --out"
        )


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, through links or by another spelling."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.normcase(_real(one)) == os.path.normcase(_real(other))


def picture_by(command: str) -> Callable[[Path], bool]:
    """Makes a function that tells whether a PNG, PDF or SVG was drawn by a command, such as "explain"."""

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
    """Mark in the metadata of a picture that a command draws."""
    return f"{PROGRAM} {command}"


def picture_facts(path: Path, command: str) -> dict[str, str | None]:
    """Metadata of a picture for matplotlib, by the suffix of its file: the command that draws it, and no date."""
    mark, suffix = drawn_by(command), path.suffix.lower()
    if suffix == ".png":
        return {"Software": mark}
    if suffix == ".pdf":
        return {"CreationDate": None, "Creator": mark, "Producer": None}
    return {"Date": None, "Creator": mark}


def table_of(columns: Sequence[str]) -> Callable[[Path], bool]:
    """Makes a function that tells whether a CSV has these columns, the first one first; it may have others too."""
    required = list(columns)

    def written(path: Path) -> bool:
        import csv
        import io

        start = _bytes(path, 2**20).decode("utf-8", "replace")
        header = next(csv.reader(io.StringIO(start)), [])
        return header[:1] == required[:1] and set(required) <= set(header)

    return written


def json_of(*keys: str) -> Callable[[Path], bool]:
    """Makes a function that tells whether a JSON file is an object with these keys."""
    return lambda path: set(keys) <= _json(path).keys()


def text_with(mark: str) -> Callable[[Path], bool]:
    """Makes a function that tells whether a text file has `mark` in its first 4096 bytes."""
    return lambda path: mark.encode() in _bytes(path, 4096)


def _check_name(path: Path) -> None:
    """Raises an error for a name that the file system cannot have: too long, or with a null character."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # the checks that follow have their own messages
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot write {shortened(str(path), 120)}: {reason}; choose another --out") from error


def _check_parent(path: Path) -> None:
    folder = path.absolute().parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: {folder} is not a folder; choose another --out")
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot write {path}: no permission to write in {folder}; choose another --out")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError:
        return b""


def _json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
