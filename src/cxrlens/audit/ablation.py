"""AUC of a network on images from which a part is removed: how much is lost, or how much is left."""

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
EXAMPLES = 4  # images that a result shows


def ablated(probe: ModelProbe, case: ModelCase, part: str, limits: str) -> AuditResult:
    """AUC on the unaltered images minus AUC with a part filled in from its surroundings.

    Args:
        probe: probe whose `altered` fills the part in.
        case: network and its validation images.
        part: name of the part in sentences, such as "the corners".
        limits: what the result does not show.
    """
    statistic, rows = f"AUC lost when {part} are filled in", np.arange(len(case.labels))
    if reason := case.no_auc_reason(rows):
        return refused(probe.name, case.name, statistic, reason, limits)
    pixels = probe.altered(case, rows)
    assert pixels is not None, "this probe must alter the images"
    after = case.predict(pixels)
    change = case.auc_change(case.logits, after)
    whole, left = case.auc(case.logits), case.auc(after)
    logit_change = after - case.logits
    most_changed = np.argsort(-np.abs(logit_change), kind="stable")[:EXAMPLES]
    return AuditResult(
        probe.name, case.name, statistic, change.value, change.low, change.high, "undecided", limits,
        "above 0: the network uses what was in that part",
        f"With {part} filled in, the AUC goes from {whole.value:.3f} to {left.value:.3f} "
        f"(loss {change.value:+.3f} {ends(change)}).",
        p=change.p, reason=change.reason, bar=LOST,
        evidence={
            "auc": whole.value, "auc_after": left.value, "images": len(logit_change),
            "images_changed": int((pixels != case.pixels).flatten(1).any(1).sum()),
            "mean_logit_change_positive": float(logit_change[case.labels].mean()),
            "mean_logit_change_negative": float(logit_change[~case.labels].mean()),
            "look_at": _examples(case, most_changed, case.logits[most_changed], after[most_changed]),
        },
    )  # fmt: skip


def left_over(
    probe: ModelProbe, case: ModelCase, part: str, limits: str, rows: np.ndarray | None = None
) -> AuditResult:
    """AUC on images of which only a part is left; the rest is one grey in all of them.

    Args:
        probe: probe whose `altered` removes the rest.
        case: network and its validation images.
        part: name of the remaining part in sentences, such as "the border alone".
        limits: what the result does not show.
        rows: positions of the images in which the part is known, int [m]; all images by default.
    """
    statistic, used = f"AUC with {part}", np.arange(len(case.labels)) if rows is None else rows
    if reason := case.no_auc_reason(used):
        return refused(probe.name, case.name, statistic, reason, limits)
    pixels = probe.altered(case, used)
    assert pixels is not None, "this probe must alter the images"
    before, after = case.logits[used], case.predict(pixels)
    left, whole = case.auc(after, used), case.auc(before, used)
    change = case.auc_change(before, after, used)
    labels = case.labels[used]
    positive = int(labels.sum())
    by_confidence = np.argsort(np.where(labels, -after, after), kind="stable")  # right and most confident first
    of_classes = [by_confidence[labels[by_confidence] == label][: EXAMPLES // 2] for label in (True, False)]
    examples = np.concatenate(of_classes)
    return AuditResult(
        probe.name, case.name, statistic, left.value, left.low, left.high, "undecided", limits,
        "above 0.5: the network separates the classes by what is left",
        f"With {part}, the AUC is {left.value:.3f} {ends(left)}; on the same {len(used)} whole "
        f"images ({positive} positive, {len(used) - positive} negative) it is {whole.value:.3f}.",
        p=left.p, reason=left.reason, bar=LEFT,
        evidence={
            "auc": whole.value, "auc_low": whole.low, "auc_high": whole.high, "lost": change.value,
            "lost_low": change.low, "lost_high": change.high, "images": len(used), "positive": positive,
            "share_changed": float((pixels != case.pixels[used.tolist()]).float().mean()),
            "look_at": _examples(case, used[examples], before[examples], after[examples]),
            **({"lungs": case.lungs.origin} if rows is not None else {}),
        },
    )  # fmt: skip


def _examples(case: ModelCase, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[dict[str, object]]:
    """Images at these positions with their labels, and their logits before and after the change, [k] each."""
    return [
        {"image": case.images[row], "label": int(case.labels[row]), "before": float(old), "after": float(new)}
        for row, old, new in zip(rows, before, after, strict=True)
    ]


def learned_from(
    probe: ModelProbe, ablation: ModelProbe, case: ModelCase, part: str, limits: str, by_lungs: bool
) -> AuditResult:
    """AUC of the model retrained and evaluated on images of which only a part is left.

    Args:
        probe: probe that gives the result its name.
        ablation: probe whose `altered` removes the rest, in one grey for training and validation images.
        case: network, its training images and its validation images.
        part: name of the altered images in sentences, such as "images without lungs".
        limits: what the result does not show.
        by_lungs: whether only images whose lungs are known can be used.
    """
    statistic, training = f"AUC after training on {part}", case.training
    train_rows, rows = np.arange(len(training.labels)), np.arange(len(case.labels))
    if by_lungs:
        train_rows, rows = training.lungs.rows, case.lungs.rows
    reason = _reason(case, rows, by_lungs)
    if reason or case.retrain is None:
        return refused(probe.name, case.name, statistic, reason, limits)
    altered = ablation.altered(
        _training_and_validation(case), np.concatenate([train_rows, rows + len(training.labels)])
    )
    assert altered is not None, "this probe must alter the images"
    count = len(train_rows)
    logits = case.retrain(altered[:count], training.labels[train_rows], altered[count:])
    left = auc_estimate(logits, case.labels, case.patients, case.intervals, rows)
    return AuditResult(
        probe.name, case.name, statistic, left.value, left.low, left.high, "undecided", limits,
        "above 0.5: what is left separates the classes",
        f"Retrained on {count} and evaluated on {len(rows)} {part}, the model reaches AUC "
        f"{left.value:.3f} {ends(left)}.",
        p=left.p, reason=left.reason, bar=LEFT,
        evidence={"trained": count, "images": len(rows), "lungs": case.lungs.origin},
    )  # fmt: skip


def _reason(case: ModelCase, rows: np.ndarray, by_lungs: bool) -> str:
    """The reason why nothing can be measured, else ""."""
    training = case.training
    if by_lungs and case.lungs.origin == "none":
        return case.lungs.unknown_reason
    if reason := case.no_auc_reason(rows) or ("retraining was not requested" if case.retrain is None else ""):
        return reason
    return one_sided(f"in training, {training.lungs.origin}", training.lungs.known, training.labels) if by_lungs else ""


def _training_and_validation(case: ModelCase) -> ModelCase:
    """A case of the training images followed by the validation images, so that one grey fills both."""
    training, size = case.training, case.pixels.shape[2]
    masks = [np.broadcast_to(lungs.masks, (len(lungs.masks), size, size)) for lungs in (training.lungs, case.lungs)]
    known = np.concatenate([training.lungs.known, case.lungs.known])
    lungs = Lungs(np.concatenate(masks), known, case.lungs.origin, case.lungs.worth)
    return replace(case, pixels=torch.cat([training.pixels, case.pixels]), lungs=lungs)
