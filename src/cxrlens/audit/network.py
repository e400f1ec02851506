"""Which questions a trained network is asked, and the images that an answer points at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cxrlens.audit.base import AuditResult, settle
from cxrlens.audit.case import CohortCase, ModelCase
from cxrlens.audit.probes import PROBES, CohortProbe, ModelProbe
from cxrlens.config import parse
from cxrlens.errors import UserError

Options = Mapping[str, Mapping[str, Any]]


def chosen_probes(also: Sequence[str], options: Options) -> dict[str, ModelProbe]:
    """The probes of a network: all that are not by choice, and those named.

    Raises:
        UserError: an unknown name, or one of a probe that asks the cohort alone.
    """
    for name in also:
        if not issubclass(PROBES[name], ModelProbe):
            raise UserError(f"the probe '{name}' asks the cohort, before training: it is asked in every audit")
    found = {}
    for name in PROBES:
        kind = PROBES[name]
        if issubclass(kind, ModelProbe):
            probe = parse(kind, options.get(name, {}), f"[audit.options.{name}]")
            if name in also or not probe.by_choice:
                found[name] = probe
    return found


def look_at(case: ModelCase, findings: Sequence[AuditResult], probe: ModelProbe) -> dict[str, np.ndarray]:
    """The images that a probe's findings point at, as they are and as the probe altered them.

    Returns:
        "PROBE before" and "PROBE after" → uint8 [k, size, size]; nothing where it points at none.
    """
    place = {image: row for row, image in enumerate(case.images)}
    shown = [image["image"] for each in findings for image in each.evidence.get("look_at", [])]
    rows = np.array([place[image] for image in shown], dtype=int)
    altered = probe.altered(case, rows) if len(rows) else None
    if altered is None:
        return {}
    return {f"{probe.name} before": _grey(case.pixels[rows.tolist()]), f"{probe.name} after": _grey(altered)}


def _grey(pixels: Tensor) -> np.ndarray:
    return np.rint(pixels[:, 0].numpy() * 255).astype(np.uint8)


# The audit before training: every question to the cohort, in turn.


def cohort_results(
    case: CohortCase, options: Mapping[str, Mapping[str, Any]] | None = None, level: float | None = None
) -> list[AuditResult]:
    """What all cohort probes find, with verdicts.

    Args:
        case: the cohort.
        options: probe → its options; those of other probes are not looked at.
        level: of the verdicts; that of the intervals where none is given.

    Raises:
        UserError: a cohort probe's options are not known to it.
    """
    found: list[AuditResult] = []
    for name in PROBES:
        kind = PROBES[name]
        if issubclass(kind, CohortProbe):
            found += parse(kind, (options or {}).get(name, {}), f"[audit.options.{name}]").findings(case)
    return settle(found, case.judging.level if level is None else level)
