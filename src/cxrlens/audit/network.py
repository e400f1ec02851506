"""Which questions a trained network is asked, and the images that an answer points at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cxrlens.audit.base import Finding
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
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


def look_at(case: ModelCase, findings: Sequence[Finding], probe: ModelProbe) -> dict[str, np.ndarray]:
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
