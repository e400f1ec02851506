"""Findings as plain values, for JSON, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from cxrlens.audit.base import Bar, Finding
from cxrlens.evaluate.records import plain

NUMBERS = ("value", "low", "high", "p", "p_holm")


def plain_finding(finding: Finding) -> dict[str, Any]:
    """Every field under its name; floats to 6 decimals, unknown numbers None, the bar as its numbers or None."""
    return plain(finding)


def restored(record: dict[str, Any]) -> Finding:
    """The finding of a record of `plain_finding`.

    Raises:
        TypeError: the record is of another version: a field is missing or unknown.
    """
    if record.keys() != {field.name for field in fields(Finding)}:
        raise TypeError(f"a finding's record is of another version; its fields are {', '.join(record)}")
    told = dict(record)
    for name in NUMBERS:
        told[name] = np.nan if told[name] is None else float(told[name])
    told["bar"] = Bar(**told["bar"]) if told["bar"] else None
    return Finding(**told)
