"""Arrays that are made once and read again, for as long as what they were made from is the same."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens import __version__
from cxrlens.files import write_atomically

IDENTITY = "made from"


Arrays = dict[str, np.ndarray]


def kept(path: Path, made_from: Any, make: Callable[[], Arrays], lasting: Callable[[], bool] = lambda: True) -> Arrays:
    """The arrays of a file, or newly made ones where it is absent, damaged or of something else.

    Args:
        path: of the `.npz`.
        made_from: all that the arrays depend on, as plain values.
        make: the work.
        lasting: whether what `make` gave is whole; otherwise it is written, and made anew the next time.
    """
    known = hashlib.sha256(json.dumps([__version__, made_from], sort_keys=True).encode()).hexdigest()
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if str(file[IDENTITY]) == known:
                return {name: file[name] for name in file.files if name != IDENTITY}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    arrays = make()
    write_arrays(path, {**arrays, IDENTITY: np.array(known)} if lasting() else arrays)
    return arrays


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that `write_arrays` wrote; none where it is absent or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes a compressed `.npz`, atomically."""

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)
