"""The cohort: how it came down to what was used, its sides by class, and what leaks between them."""

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

SIDES = {"train": "training", "validation": "validation"}


def cohort(reading: ReportData) -> Section:
    """The flow of exclusions, the sides, the leaks, and the files that are missing."""
    told, listed = reading.results["cohort"], reading.cohort
    blocks: list[Block] = [table("Which images were used, from the source's table to the models.", flow(told, listed))]
    if "side" in listed:
        blocks.append(table("Readable images by side of the split and by class; patients in brackets.", sides(listed)))
    blocks.append(Words([leaks(told)], "warning" if told.get("validation_images_of_training_patients") else "plain"))
    read = steps(listed)
    if read[1]:
        blocks.append(table("How the files were read: what is odd, then what was converted.", read, folded=False))
    missing = told.get("missing", [])
    if missing:
        cells = ["image", "why it is missing"], [[each["image"], each["reason"]] for each in missing]
        blocks.append(table("Images that are listed but could not be read.", cells, folded=True))
    return Section("cohort", "The cohort", blocks)


def flow(told: Mapping[str, Any], listed: pd.DataFrame) -> Cells:
    """Step by step: rows of the source, what is left out and by whom, what is missing or unlabelled, what is left."""
    left_out, missing = told.get("left_out", {}), told.get("missing", [])
    rows: list[list[str]] = []
    if left_out:
        rows.append(["rows of the source", f"{told['images'] + sum(left_out.values()):,}", ""])
        origins = told.get("left_out_origins", {})
        rows += [
            [
                f"− {'not used' if reason in origins else 'left out'}: {reason}",
                f"{count:,}",
                origins.get(reason, CHOICE),
            ]
            for reason, count in left_out.items()
        ]
    rows.append(["listed images", f"{told['images']:,}", f"of {told['patients']:,} patients"])
    reasons = Counter(str(each["reason"]).split(":")[0].split(" (")[0][:80] for each in missing)
    rows += [[f"− missing: {reason}", f"{count:,}", "listed by name below"] for reason, count in reasons.most_common()]
    readable = listed[~listed["image"].isin([each["image"] for each in missing])]
    unlabelled = int(readable["label"].isna().sum())
    if unlabelled:
        rows.append(["− label unknown", f"{unlabelled:,}", "never taken as negative"])
    used = readable[readable["label"].notna()]
    positive = int((used["label"] == 1).sum())
    patients = used["patient"].nunique() if "patient" in used else 0
    rows.append(
        ["used", f"{len(used):,}", f"{positive:,} positive, {len(used) - positive:,} negative, {patients:,} patients"]
    )
    return ["step", "images", ""], rows


def sides(listed: pd.DataFrame) -> Cells:
    """A row a side (or a fold): images and patients of each class."""
    usable = listed[listed["side"].notna() & listed["label"].notna()]
    if "missing" in usable:
        usable = usable[usable["missing"].isna()]
    rows = [[SIDES.get(str(side), str(side)), *_counted(part)] for side, part in usable.groupby("side", sort=True)]
    return ["side", "positive", "negative", "all"], [*rows, ["both" if len(rows) == 2 else "all", *_counted(usable)]]


def steps(listed: pd.DataFrame) -> Cells:
    """A row a kind of step that the reader took: warnings first, each with its count and the first images."""
    groups = group_steps(listed["image"], listed["steps"]) if "steps" in listed else ()
    rows = [
        [f"{'warning: ' if each.warning else ''}{each.kind}", f"{len(each.images):,}", each.names] for each in groups
    ]
    return ["what", "images", "examples"], rows


def _counted(part: pd.DataFrame) -> list[str]:
    of = [part[part["label"] == 1], part[part["label"] == 0], part]
    return [f"{len(each):,} ({each['patient'].nunique():,})" for each in of]


def leaks(told: Mapping[str, Any]) -> str:
    """How many validation images are of patients who are also in training."""
    shared, patients = told.get("validation_images_of_training_patients"), told.get("validation_patients_in_training")
    if shared is None:
        return "Whether patients are on both sides of the split is not known."
    if not shared:
        return "No patient is on both sides of the split."
    return (
        f"{shared} of {told['validation']} validation images are of {patients} patients who are also in training: read "
        "every number below as an upper bound."
    )
