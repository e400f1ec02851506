"""Writing files so that a final name never holds half a file, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cxrlens.errors import UserError
from cxrlens.names import PERCENT, short_name


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` make the file beside `path`, then gives it its name.

    Args:
        path: the final name; its folder is made.
        write: is given another path in the same folder, and writes there.

    Raises:
        UserError: the disk is full or the folder cannot be written; nothing new is under the final name.
    """
    suffix = path.suffix if len(path.suffix) < 20 else ""
    draft = path.with_name(f".{short_name(path.name)}.{os.getpid()}.part{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)  # some writers make files that their owner alone can read
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # where the folder is no folder, told already
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, atomically; bytes of file names that are no UTF-8 are written as `names.name_of` does."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8", errors=PERCENT, newline="\n"))
