"""The sentences of a data check: faults, and what to know before training."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cxrlens.data.associations import TOLD
from cxrlens.data.integrity import Integrity
from cxrlens.data.leaks import SideCounts, leak, patients_warning, split_warning
from cxrlens.data.split import Split
from cxrlens.names import first_few, many

MOST = 3  # pairs that a sentence names


def fault_sentences(found: Integrity) -> list[str]:
    """What is plainly wrong with the files and labels."""
    faults = []
    if found.absent:
        faults.append(f"{many(len(found.absent), 'listed image')} without a file: {some(found.absent)}")
    if found.unreadable:
        faults.append(f"{many(len(found.unreadable), 'file')} rejected: {some(found.unreadable)}")
    for pair in found.conflicts[:MOST]:
        faults.append(f"one image, positive here and negative there: {pair.images[0]} and {pair.images[1]}")
    more = len(found.conflicts) - MOST
    if more > 0:
        faults.append(f"{many(more, 'more pair')} of one image with two labels: --json has them all")
    return faults


def warning_sentences(
    table: pd.DataFrame,
    found: Integrity,
    splits: Sequence[Split],
    sides: Sequence[SideCounts],
    merged: bool,
) -> list[str]:
    """What to know before training.

    Args:
        table: the cohort's.
        found: by `integrity.examine`.
        splits: the study's; empty where none can be drawn.
        sides: theirs, from `leaks.side_counts`.
        merged: whether the split keeps patients who share an image together.
    """
    unknown = patients_warning(table)
    lines = [unknown] if unknown else []
    for split, side in zip(splits, sides, strict=True):
        fold = f"fold {split.fold}: " if len(splits) > 1 else ""
        warning = split_warning(table, split)
        if warning:
            lines.append(fold + warning)
        hidden = side.leaking_images - len(leak(table, split).images)
        if hidden:
            lines.append(f"{fold}{hidden} more validation images are of training patients under another id")
    if found.two_ids:
        names = first_few([" = ".join(ids) for ids in found.one_patient], MOST, "; --json has them all")
        lines.append(
            f"{many(len(found.two_ids), 'pair')} of images are one exposure under two patient ids ({names}); "
            + (
                "the split keeps each such patient on one side"
                if merged and splits
                else "the split takes them for two patients"
            )
        )
    same = len(found.duplicates.pairs) - len(found.two_ids)
    if same:
        lines.append(f"{many(same, 'pair')} of images of one patient are the same exposure: they count double")
    skipped = found.duplicates.shortlisted - found.duplicates.compared
    if skipped:
        lines.append(f"{many(skipped, 'pair')} of images with near hashes not compared: duplicates may remain")
    telling = [f"{one.column} {one.auc:.2f}" for one in found.associations if one.auc >= TOLD]
    if telling:
        lines.append(
            f"metadata alone tell the label (AUC across patients: {', '.join(telling)}): a network may learn what goes "
            "with them"
        )
    unlabelled = int(table["label"].isna().sum())
    if unlabelled:
        lines.append(f"{many(unlabelled, 'image')} without a label: on neither side")
    return lines


def some(reasons: dict[str, str], most: int = 5) -> str:
    """The first few, each with its reason."""
    return first_few([f"{image} ({reason})" for image, reason in reasons.items()], most)
