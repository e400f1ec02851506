"""What decides the pixels of a cache: the files as they are now, who reads them, and the size asked for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import PIL

from cxrlens.data.cache_folder import FORMAT
from cxrlens.data.cohort import Cohort, Decoded
from cxrlens.names import path_of


@dataclass(frozen=True)
class Entry:
    """One image to be had.

    Attributes:
        image: its name.
        path: the cohort's cell.
        file: the file that the cell names; None where it names none, as in a set that is drawn.
    """

    image: str
    path: str | None
    file: Path | None

    def identity(self) -> list[object]:
        """What changes when the image does."""
        stat = _stat(self.file)
        return [self.image, self.path, *((stat.st_size, stat.st_mtime_ns) if stat else ())]


def entries(cohort: Cohort) -> list[Entry]:
    """The images that may be readable, in the cohort's order.

    A cell is an absolute path, or relative to the folder that the source bound to its reader with `functools.partial`.
    """
    bound = cohort.read.args if isinstance(cohort.read, partial) else ()
    root = next((value for value in bound if isinstance(value, Path)), Path())
    rows = cohort.readable[["image", "path"]].itertuples(index=False)
    files = ((image, path, path_of(path, root) if path else None) for image, path in rows)
    return [Entry(image, path, file if _stat(file) else None) for image, path, file in files]


def key(cohort: Cohort, rows: list[Entry], size: int, interpolation: str, depth: int | None = None) -> str:
    """The name of the cache; another release of Pillow may decode or resize otherwise, so it counts too."""
    said = [FORMAT, PIL.__version__, size, interpolation, depth, _reader(cohort.read), [row.identity() for row in rows]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _reader(read: Callable[[str], Decoded]) -> list[str]:
    """Two sources may use the same cells for other pixels: what is bound to the reader tells them apart."""
    if isinstance(read, partial):
        said = (*read.args, *sorted((read.keywords or {}).items()))
        return [*_reader(read.func), *(str(value) for value in said)]
    owner = getattr(read, "__self__", None)
    told = owner is not None and type(owner).__repr__ is not object.__repr__  # else it is an address in memory
    return [getattr(read, "__qualname__", type(read).__qualname__), repr(owner) if told else ""]


def _stat(file: Path | None) -> os.stat_result | None:
    try:
        return file.stat() if file else None
    except (OSError, ValueError):
        return None
