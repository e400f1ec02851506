"""What the audit found of one network, written as soon as it is found: an interrupted audit goes on from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxrlens import __version__
from cxrlens.errors import UserError
from cxrlens.pipeline.explain.kept import read_arrays
from cxrlens.pipeline.explain.shown import Shown


def kept_record(
    shown: Shown, what: str, asked: Any, make: Callable[[], dict[str, Any]], beside: Path | None = None
) -> dict[str, Any]:
    """What an earlier audit wrote of this network, if it was asked the same; else newly made, and written.

    Args:
        shown: the network; the record is in its run's folder, `audit/NETWORK/WHAT.json`.
        what: which part of the audit.
        asked: all that the record depends on beside the network, as plain values.
        make: the work; plain values.
        beside: arrays that `make` writes too, without which the record is worth nothing.
    """
    told = json.dumps([__version__, shown.identity, asked], sort_keys=True)
    known, folder = hashlib.sha256(told.encode()).hexdigest(), shown.run.folder
    name = f"audit/{Path(shown.file).stem}/{what}.json"
    try:
        record = folder.read_json(name)
        if record["made_from"] == known and (beside is None or read_arrays(beside)):
            return record
    except (UserError, KeyError, TypeError):
        pass
    record = {"made_from": known, **make()}
    folder.write_json(name, record)
    return record


def arrays_path(shown: Shown, what: str) -> Path:
    """Where the arrays beside such a record are."""
    return shown.run.folder.path / "audit" / Path(shown.file).stem / f"{what}.npz"
