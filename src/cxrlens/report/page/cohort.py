"""The cohort: exclusions, training and validation sets by class, leaking patients and unreadable files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxrlens.data.cohort import CHOICE
from cxrlens.data.steps import group_steps
from cxrlens.report.page.blocks import Block, Section, Words, table
from cxrlens.report.report_data import ReportData
from cxrlens.report.tables import Cells

SET_NAMES = {"train": "training", "validation": "validation"}


def cohort(report: ReportData) -> Section:
    """The flow of exclusions, the sets, the leaks, remarks from reading the files, and the missing files."""
    counts, listed = report.results["cohort"], report.cohort
    blocks: list[Block] = [table("From the source table to the images used.", flow(counts, listed))]
    if "side" in listed:
        blocks.append(table("Readable images by set and class (patients in brackets).", set_cells(listed)))
    blocks.append(
        Words([leak_sentence(counts)], "warning" if counts.get("validation_images_of_training_patients") else "plain")
    )
    remarks = reading_cells(listed)
    if remarks[1]:
        blocks.append(table("Remarks from reading the files: warnings, then conversions.", remarks, folded=False))
    missing = counts.get("missing", [])
    if missing:
        cells = ["image", "reason"], [[image["image"], image["reason"]] for image in missing]
        blocks.append(table("Listed images that could not be read.", cells, folded=True))
    return Section("cohort", "Cohort", blocks)


def flow(counts: Mapping[str, Any], listed: pd.DataFrame) -> Cells:
    """One row per step: rows of the source, exclusions with their origin, missing and unlabelled images, used images.

    Args:
        counts: the `cohort` of `results.json`.
        listed: the table of all listed images.
    """
    left_out, missing = counts.get("left_out", {}), counts.get("missing", [])
    rows: list[list[str]] = []
    if left_out:
        rows.append(["rows of the source table", f"{counts['images'] + sum(left_out.values()):,}", ""])
        origins = counts.get("left_out_origins", {})
        rows += [
            [
                f"− {'not used' if reason in origins else 'excluded'}: {reason}",
                f"{count:,}",
                origins.get(reason, CHOICE),
            ]
            for reason, count in left_out.items()
        ]
    rows.append(["listed images", f"{counts['images']:,}", f"of {counts['patients']:,} patients"])
    reasons = Counter(str(image["reason"]).split(":")[0].split(" (")[0][:80] for image in missing)
    rows += [
        [f"− missing: {reason}", f"{count:,}", "names are listed below"] for reason, count in reasons.most_common()
    ]
    readable = listed[~listed["image"].isin([image["image"] for image in missing])]
    unlabelled = int(readable["label"].isna().sum())
    if unlabelled:
        rows.append(["− label unknown", f"{unlabelled:,}", "never counted as negative"])
    used = readable[readable["label"].notna()]
    positive = int((used["label"] == 1).sum())
    patients = used["patient"].nunique() if "patient" in used else 0
    rows.append(
        ["used", f"{len(used):,}", f"{positive:,} positive, {len(used) - positive:,} negative, {patients:,} patients"]
    )
    return ["step", "images", ""], rows


def set_cells(listed: pd.DataFrame) -> Cells:
    """One row per set or fold: images and patients of each class."""
    usable = listed[listed["side"].notna() & listed["label"].notna()]
    if "missing" in usable:
        usable = usable[usable["missing"].isna()]
    rows = [
        [SET_NAMES.get(str(name), str(name)), *_counts(images)] for name, images in usable.groupby("side", sort=True)
    ]
    return ["set", "positive", "negative", "all"], [*rows, ["both" if len(rows) == 2 else "all", *_counts(usable)]]


def reading_cells(listed: pd.DataFrame) -> Cells:
    """One row per kind of warning or conversion when files were read, with its count and the first images."""
    groups = group_steps(listed["image"], listed["steps"]) if "steps" in listed else ()
    rows = [
        [f"{'warning: ' if group.warning else ''}{group.kind}", f"{len(group.images):,}", group.names]
        for group in groups
    ]
    return ["remark", "images", "examples"], rows


def _counts(images: pd.DataFrame) -> list[str]:
    classes = [images[images["label"] == 1], images[images["label"] == 0], images]
    return [f"{len(part):,} ({part['patient'].nunique():,})" for part in classes]


def leak_sentence(counts: Mapping[str, Any]) -> str:
    """How many validation images are of patients who are also in the training set."""
    shared, patients = (
        counts.get("validation_images_of_training_patients"),
        counts.get("validation_patients_in_training"),
    )
    if shared is None:
        return "It is not known whether any patient is in both the training and the validation set."
    if not shared:
        return "No patient is in both the training and the validation set."
    return (
        f"{shared} of {counts['validation']} validation images are of {patients} patients who are also in the training "
        "set. Read every performance value below as an upper bound."
    )
