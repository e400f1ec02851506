"""A cache of arrays and records: computed once, and read again as long as their inputs are the same.

Figures, the gallery and the audit use it. A file holds a digest of everything that its content depends on. A file that
is absent, damaged or made from other inputs is computed anew.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens.files import write_atomically
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.run_folder import digest_of_inputs

IDENTITY = "made from"

Arrays = dict[str, np.ndarray]


def cached_arrays(
    path: Path, made_from: Any, make: Callable[[], Arrays], complete: Callable[[], bool] = lambda: True
) -> Arrays:
    """The arrays of a file. They are computed first if the file does not hold them.

    Args:
        path: path of the `.npz` file.
        made_from: everything that the arrays depend on, as plain values.
        make: function that computes the arrays.
        complete: function that says whether the arrays that `make` returned are complete. Incomplete arrays are written
            without a digest, so that the next call computes them again.
    """
    digest = digest_of_inputs([made_from])
    arrays = read_arrays(path)
    if str(arrays.pop(IDENTITY, "")) == digest:
        return arrays
    arrays = make()
    write_arrays(path, {**arrays, IDENTITY: np.array(digest)} if complete() else arrays)
    return arrays


def cached_record(
    network: FigureNetwork, part: str, made_from: Any, make: Callable[[], dict[str, Any]], beside: Path | None = None
) -> dict[str, Any]:
    """A record of the audit of one network. It is computed first if no file holds it.

    Args:
        network: the network. The record is `audit/NETWORK/PART.json` in its run folder.
        part: name of the part of the audit.
        made_from: everything that the record depends on beside the network, as plain values.
        make: function that computes the record, of plain values.
        beside: file of arrays that `make` writes as well. If it is absent, the record is computed again.
    """
    name = f"audit/{Path(network.file).stem}/{part}.json"

    def read(record: dict[str, Any]) -> dict[str, Any]:
        if beside is not None and not read_arrays(beside):
            raise ValueError(f"the arrays in {beside} are absent or damaged")
        return record

    return network.run.folder.cached(name, [network.identity, made_from], make, read)


def arrays_path(network: FigureNetwork, part: str) -> Path:
    """The path of the arrays that belong to a record of `cached_record`."""
    return network.run.folder.path / "audit" / Path(network.file).stem / f"{part}.npz"


def read_arrays(path: Path) -> Arrays:
    """The arrays of a file that `write_arrays` wrote; empty if the file is absent or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Writes a compressed `.npz`, atomically."""

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, write)
