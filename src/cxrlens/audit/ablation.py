"""A part of every image taken out: what the AUC loses, or what is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from cxrlens.audit.base import AuditResult, Bar, auc_estimate, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.lungs.regions import Lungs, one_sided
from cxrlens.audit.probes import ModelProbe

if TYPE_CHECKING:
    from cxrlens.audit.probes import ModelProbe


FAMILY = "parts of the image"
LOST = Bar(0.0, 0.05, FAMILY)
LEFT = Bar(0.5, 0.1, FAMILY)
SHOWN = 4  # images to look at


def ablated(probe: ModelProbe, case: ModelCase, what: str, limits: str) -> AuditResult:
    """AUC of the images as they are minus AUC with a part filled from around it.

    Args:
        probe: whose `altered` fills it.
        case: the network.
        what: the part, for sentences: "the corners".
        limits: what the finding does not show.
    """
    statistic, rows = f"AUC lost when {what} are filled in", np.arange(len(case.labels))
    if reason := case.no_auc_reason(rows):
        return refused(probe.name, case.name, statistic, reason, limits)
    pixels = probe.altered(case, rows)
    assert pixels is not None, "a probe that fills alters"
    after = case.predict(pixels)
    change = case.auc_change(case.logits, after)
    whole, left = case.auc(case.logits), case.auc(after)
    moved = after - case.logits
    most = np.argsort(-np.abs(moved), kind="stable")[:SHOWN]
    return AuditResult(
        probe.name, case.name, statistic, change.value, change.low, change.high, "undecided", limits,
        "above 0: the network tells the classes apart by what was there",
        f"With {what} filled in, the AUC goes from {whole.value:.3f} to {left.value:.3f} "
        f"(loss {change.value:+.3f} {ends(change)}).",
        p=change.p, reason=change.reason, bar=LOST,
        evidence={
            "auc": whole.value, "auc_after": left.value, "images": len(moved),
            "images_changed": int((pixels != case.pixels).flatten(1).any(1).sum()),
            "mean_logit_change_positive": float(moved[case.labels].mean()),
            "mean_logit_change_negative": float(moved[~case.labels].mean()),
            "look_at": _look_at(case, most, case.logits, after),
        },
    )  # fmt: skip


def left_over(
    probe: ModelProbe, case: ModelCase, what: str, limits: str, rows: np.ndarray | None = None
) -> AuditResult:
    """AUC on images of which a part alone is left, the rest being one grey for all.

    Args:
        probe: whose `altered` takes the rest away.
        case: the network.
        what: the part that is left, for sentences: "border alone".
        limits: what the finding does not show.
        rows: positions of the images that this can be asked of; all where none are given.
    """
    statistic, kept = f"AUC with {what}", np.arange(len(case.labels)) if rows is None else rows
    if reason := case.no_auc_reason(kept):
        return refused(probe.name, case.name, statistic, reason, limits)
    pixels = probe.altered(case, kept)
    assert pixels is not None, "a probe that takes away alters"
    after = case.predict(pixels)
    left, whole = case.auc(after, kept), case.auc(case.logits[kept], kept)
    change = case.auc_change(case.logits[kept], after, kept)
    labels = case.labels[kept]
    positive = int(labels.sum())
    right = np.argsort(np.where(labels, -after, after), kind="stable")  # the surest that are right, of both classes
    surest = np.concatenate([right[labels[right]][: SHOWN // 2], right[~labels[right]][: SHOWN // 2]])
    return AuditResult(
        probe.name, case.name, statistic, left.value, left.low, left.high, "undecided", limits,
        "above 0.5: what is left tells the classes apart",
        f"With {what}, the AUC is {left.value:.3f} {ends(left)}; on the same {len(kept)} whole "
        f"images ({positive} positive, {len(kept) - positive} negative) it is {whole.value:.3f}.",
        p=left.p, reason=left.reason, bar=LEFT,
        evidence={
            "auc": whole.value, "auc_low": whole.low, "auc_high": whole.high, "lost": change.value,
            "lost_low": change.low, "lost_high": change.high, "images": len(kept), "positive": positive,
            "share_changed": float((pixels != case.pixels[kept.tolist()]).float().mean()),
            "look_at": _look_at(case, kept[surest], case.logits[kept[surest]], after[surest], aligned=True),
            **({"lungs": case.lungs.origin} if rows is not None else {}),
        },
    )  # fmt: skip


def _look_at(
    case: ModelCase, rows: np.ndarray, before: np.ndarray, after: np.ndarray, aligned: bool = False
) -> list[dict[str, object]]:
    """Images with what the network said of them before and after; arrays of all images unless they are `aligned`."""
    pairs = zip(before, after, strict=True) if aligned else ((before[row], after[row]) for row in rows)
    return [
        {"image": case.images[row], "label": int(case.labels[row]), "before": float(one), "after": float(other)}
        for row, (one, other) in zip(rows, pairs, strict=True)
    ]


# A part taken out of every image before training as well: what can be learned from the rest.


def learned_from(
    probe: ModelProbe, part: ModelProbe, case: ModelCase, what: str, limits: str, by_lungs: bool
) -> AuditResult:
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
    return AuditResult(
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
    if reason := case.no_auc_reason(rows) or ("no training was asked for" if case.again is None else ""):
        return reason
    return one_sided(f"in training, {side.lungs.origin}", side.lungs.known, side.labels) if by_lungs else ""


def _both(case: ModelCase) -> ModelCase:
    """The training side's images and then the validation side's, as one, so that one grey fills both."""
    side, size = case.training, case.pixels.shape[2]
    masks = [np.broadcast_to(of.masks, (len(of.masks), size, size)) for of in (side.lungs, case.lungs)]
    known = np.concatenate([side.lungs.known, case.lungs.known])
    lungs = Lungs(np.concatenate(masks), known, case.lungs.origin, case.lungs.worth)
    return replace(case, pixels=torch.cat([side.pixels, case.pixels]), lungs=lungs)
