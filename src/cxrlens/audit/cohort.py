"""The audit before training: every question to the cohort, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrlens.audit.base import Finding, settle
from cxrlens.audit.case import CohortCase
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.config import parse


def cohort_findings(
    case: CohortCase, options: Mapping[str, Mapping[str, Any]] | None = None, level: float | None = None
) -> list[Finding]:
    """What all cohort probes find, with verdicts.

    Args:
        case: the cohort.
        options: probe → its options; those of other probes are not looked at.
        level: of the verdicts; that of the intervals where none is given.

    Raises:
        UserError: a cohort probe's options are not known to it.
    """
    found: list[Finding] = []
    for name in PROBES:
        kind = PROBES[name]
        if issubclass(kind, CohortProbe):
            found += parse(kind, (options or {}).get(name, {}), f"[audit.options.{name}]").findings(case)
    return settle(found, case.judging.level if level is None else level)
