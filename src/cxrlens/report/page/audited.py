"""Whether an `audit.json` is one that this version can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxrlens.run_folder import SCHEMA_VERSION

PART = {"name", "headline", "flags", "points", "next"}
FINDING = {"model", "probe", "statistic", "value", "low", "high", "verdict", "limits", "sentence"}


def audited_summary(audited: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Its `summary`; None where there is no audit, or one of another version.

    >>> audited_summary({"schema_version": 0}) is None
    True
    """
    if audited is None or audited.get("schema_version") != SCHEMA_VERSION:
        return None
    told = audited.get("summary")
    if not isinstance(told, Mapping) or not {"cohort", "models", "notice"} <= told.keys():
        return None
    parts = [told["cohort"], *told["models"]]
    whole = all(isinstance(part, Mapping) and part.keys() >= PART for part in parts)
    return told if whole and all(each.keys() >= FINDING for each in findings(audited)) else None


def findings(audited: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Its findings."""
    return audited.get("findings", [])
