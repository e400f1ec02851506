"""Writes files atomically: an interrupted write never leaves half a file under the final name."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.names import PERCENT, short_name


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name in the same folder, then renames it.

    Args:
        path: final path of the file; its folder is created.
        write: function that writes the file at the temporary path it is called with.

    Raises:
        UserError: the disk is full or the folder cannot be written; the file at `path` is as it was.
    """
    suffix = path.suffix if len(path.suffix) < 20 else ""
    draft = path.with_name(f".{short_name(path.name)}.{os.getpid()}.part{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)  # some writers create files that only their owner can read
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # the folder is a file: the error above says so
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically; bytes of file names that are not UTF-8 are written as in `names.name_of`."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8", errors=PERCENT, newline="\n"))
