"""The probes that an audit runs: on a cohort before training, and on a trained network with the images it shows."""

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


def chosen_probes(also: Sequence[str], options: Options, skip: Sequence[str] = ()) -> dict[str, ModelProbe]:
    """The probes of a trained network, with their options.

    Args:
        also: names of probes that run only by choice and are requested.
        options: name of a probe → its options.
        skip: names of probes that are left out.

    Raises:
        UserError: a name is unknown, or is that of a cohort probe.
    """
    for name in also:
        if not issubclass(PROBES[name], ModelProbe):
            raise UserError(f"the probe '{name}' examines the cohort before training; it runs in every audit")
    probes = {}
    for name in PROBES:
        kind = PROBES[name]
        if issubclass(kind, ModelProbe):
            probe = parse(kind, options.get(name, {}), f"[audit.options.{name}]")
            if name in also or not (probe.by_choice or name in skip):
                probes[name] = probe
    return probes


def look_at(case: ModelCase, results: Sequence[AuditResult], probe: ModelProbe) -> dict[str, np.ndarray]:
    """The images that a probe's results list as examples, before and after the probe's change.

    Returns:
        "PROBE before" and "PROBE after" → images, uint8 [k, size, size]; empty where the results list none.
    """
    row_of = {image: row for row, image in enumerate(case.images)}
    examples = [example["image"] for result in results for example in result.evidence.get("look_at", [])]
    rows = np.array([row_of[image] for image in examples], dtype=int)
    altered = probe.altered(case, rows) if len(rows) else None
    if altered is None:
        return {}
    return {f"{probe.name} before": _grey(case.pixels[rows.tolist()]), f"{probe.name} after": _grey(altered)}


def _grey(pixels: Tensor) -> np.ndarray:
    return np.rint(pixels[:, 0].numpy() * 255).astype(np.uint8)


def cohort_results(
    case: CohortCase, options: Mapping[str, Mapping[str, Any]] | None = None, level: float | None = None
) -> list[AuditResult]:
    """Results of all cohort probes, with verdicts.

    Args:
        case: cohort before training.
        options: name of a probe → its options; those of other probes are ignored.
        level: confidence level of the verdicts, between 0 and 1; by default that of the intervals.

    Raises:
        UserError: a cohort probe does not know one of its options.
    """
    results: list[AuditResult] = []
    for name in PROBES:
        kind = PROBES[name]
        if issubclass(kind, CohortProbe):
            results += parse(kind, (options or {}).get(name, {}), f"[audit.options.{name}]").results(case)
    return settle(results, case.intervals.level if level is None else level)
