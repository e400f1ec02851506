"""Behind an AUC: the threshold chosen on training images, calibration, and the same by sex, age, view and source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxrlens.report.figures.style import estimate, number, probability
from cxrlens.report.tables import Cells, markdown_table

RATES = ("sensitivity", "sensitivity_low", "sensitivity_high", "specificity", "specificity_low", "specificity_high")


def operating_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """A row a model, NaN where unknown, intervals by patients.

    Columns: model, threshold (a probability), sensitivity and specificity at it with `_low` and `_high`, calibration's
    intercept, slope and brier.
    """
    rows = [
        [model["name"], model["threshold"]["value"], *(model["threshold"][name] for name in RATES)]
        + [model["calibration"][name] for name in ("intercept", "slope", "brier")]
        for model in results["models"]
    ]
    columns = ["model", "threshold", *RATES, "intercept", "slope", "brier"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).astype(dict.fromkeys(columns[1:], float))


def subgroups_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """A row a model and group of validation images, NaN where `reason` says why.

    Columns: model, by, group, images, patients, positive, negative, auc, auc_low, auc_high, sensitivity and specificity
    with `_low` and `_high`, rough (5 to 9 patients of a class), reason.
    """
    counts = ["by", "group", "images", "patients", "positive", "negative"]
    values = ["auc", "auc_low", "auc_high", *RATES]
    rows = [
        [model["name"], *(row[name] for name in (*counts, *values)), row.get("rough"), row["reason"]]
        for model in results["models"]
        for row in model["subgroups"]
    ]
    table = pd.DataFrame(rows, columns=pd.Index(["model", *counts, *values, "rough", "reason"]))
    return table.astype(dict.fromkeys(values, float))


def details_markdown(results: Mapping[str, Any]) -> str:
    """Both tables as Markdown; a group too small for an AUC shows its counts and a dash."""
    parts = ["## At a threshold chosen on training images", markdown_table(*operating_cells(results)), "## By group"]
    return "\n\n".join([*parts, markdown_table(*subgroup_cells(results))]) + "\n"


def operating_cells(results: Mapping[str, Any]) -> Cells:
    """A row a model, as text: its threshold, the rates there, its calibration."""
    head = ["model", "threshold", "sensitivity", "specificity", "calibration intercept", "slope", "Brier"]
    rows = []
    for model in results["models"]:
        at, calibration = model["threshold"], model["calibration"]
        fitted = [number(calibration[name], 3) for name in ("intercept", "slope", "brier")]
        rows.append(
            [model["name"], probability(at["value"]), rate(at, "sensitivity"), rate(at, "specificity"), *fitted]
        )
    return head, rows


def subgroup_cells(results: Mapping[str, Any]) -> Cells:
    """A row a model and group, as text."""
    head = ["model", "group", "images", "positive", "negative", "AUC", "sensitivity", "specificity"]
    rows = []
    for model in results["models"]:
        for row in model["subgroups"]:
            counts = [str(row[name]) for name in ("images", "positive", "negative")]
            rates = [rate(row, name) for name in ("auc", "sensitivity", "specificity")]
            rows.append([model["name"], f"{row['by']}: {row['group']}", *counts, *rates])
    return head, rows


def rate(row: Mapping[str, Any], name: str) -> str:
    """A value with its interval by patients; a dash where it is unknown."""
    return estimate(row, name, 2)
