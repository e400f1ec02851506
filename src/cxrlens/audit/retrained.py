"""A part taken out of every image before training as well: what can be learned from the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cxrlens.audit.ablation import LEFT
from cxrlens.audit.base import Finding, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.estimate import auc_estimate
from cxrlens.audit.lungs.regions import Lungs, one_sided
from cxrlens.audit.probes import ModelProbe
from cxrlens.audit.words import ends


def learned_from(
    probe: ModelProbe, part: ModelProbe, case: ModelCase, what: str, limits: str, by_lungs: bool
) -> Finding:
    """AUC of the row trained anew on, and judged by, images of which a part alone is left.

    Args:
        probe: that asks.
        part: whose `altered` takes the rest away, from both sides in one grey.
        case: the network.
        what: is left, for sentences: "images without lungs".
        limits: what the finding does not show.
        by_lungs: whether only images whose lungs are known can be asked.
    """
    statistic, side = f"AUC after training on {what}", case.training
    inside, rows = np.arange(len(side.labels)), np.arange(len(case.labels))
    if by_lungs:
        inside, rows = side.lungs.rows, case.lungs.rows
    reason = _reason(case, rows, by_lungs)
    if reason or case.again is None:
        return refused(probe.name, case.name, statistic, reason, limits)
    altered = part.altered(_both(case), np.concatenate([inside, rows + len(side.labels)]))
    assert altered is not None, "a probe that takes away alters"
    logits = case.again(altered[: len(inside)], side.labels[inside], altered[len(inside) :])
    left = auc_estimate(logits, case.labels, case.patients, case.judging, rows)
    return Finding(
        probe.name, case.name, statistic, left.value, left.low, left.high, "undecided", limits,
        "above 0.5: what is left tells the classes apart",
        f"Trained on {len(inside)} and judged on {len(rows)} {what}, the same row reaches AUC "
        f"{left.value:.3f} {ends(left)}.",
        p=left.p, reason=left.reason, bar=LEFT,
        evidence={"trained": len(inside), "images": len(rows), "lungs": case.lungs.origin},
    )  # fmt: skip


def _reason(case: ModelCase, rows: np.ndarray, by_lungs: bool) -> str:
    """Why nothing can be said, else ""."""
    side = case.training
    if by_lungs and case.lungs.origin == "none":
        return "nobody knows where the lungs are" + "".join(f"; {reason}" for reason in case.lungs.refused)
    if reason := case.without_auc(rows) or ("no training was asked for" if case.again is None else ""):
        return reason
    return one_sided(f"in training, {side.lungs.origin}", side.lungs.known, side.labels) if by_lungs else ""


def _both(case: ModelCase) -> ModelCase:
    """The training side's images and then the validation side's, as one, so that one grey fills both."""
    side, size = case.training, case.pixels.shape[2]
    masks = [np.broadcast_to(of.masks, (len(of.masks), size, size)) for of in (side.lungs, case.lungs)]
    known = np.concatenate([side.lungs.known, case.lungs.known])
    lungs = Lungs(np.concatenate(masks), known, case.lungs.origin, case.lungs.worth)
    return replace(case, pixels=torch.cat([side.pixels, case.pixels]), lungs=lungs)
