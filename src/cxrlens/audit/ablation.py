"""A part of every image taken out: what the AUC loses, or what is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cxrlens.audit.base import Bar, Finding, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.words import ends

if TYPE_CHECKING:
    from cxrlens.audit.probes import ModelProbe

FAMILY = "parts of the image"
LOST = Bar(0.0, 0.05, FAMILY)
LEFT = Bar(0.5, 0.1, FAMILY)
SHOWN = 4  # images to look at


def ablated(probe: ModelProbe, case: ModelCase, what: str, limits: str) -> Finding:
    """AUC of the images as they are minus AUC with a part filled from around it.

    Args:
        probe: whose `altered` fills it.
        case: the network.
        what: the part, for sentences: "the corners".
        limits: what the finding does not show.
    """
    statistic, rows = f"AUC lost when {what} are filled in", np.arange(len(case.labels))
    if reason := case.without_auc(rows):
        return refused(probe.name, case.name, statistic, reason, limits)
    pixels = probe.altered(case, rows)
    assert pixels is not None, "a probe that fills alters"
    after = case.predict(pixels)
    change = case.auc_change(case.logits, after)
    whole, left = case.auc(case.logits), case.auc(after)
    moved = after - case.logits
    most = np.argsort(-np.abs(moved), kind="stable")[:SHOWN]
    return Finding(
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


def left_over(probe: ModelProbe, case: ModelCase, what: str, limits: str, rows: np.ndarray | None = None) -> Finding:
    """AUC on images of which a part alone is left, the rest being one grey for all.

    Args:
        probe: whose `altered` takes the rest away.
        case: the network.
        what: the part that is left, for sentences: "border alone".
        limits: what the finding does not show.
        rows: positions of the images that this can be asked of; all where none are given.
    """
    statistic, kept = f"AUC with {what}", np.arange(len(case.labels)) if rows is None else rows
    if reason := case.without_auc(kept):
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
    return Finding(
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
