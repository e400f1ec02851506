"""Behind an AUC: the threshold chosen on training images, calibration, and the same by sex, age, view and source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxrlens.report.figures.style import interval, number
from cxrlens.report.tables import markdown_table

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
    with `_low` and `_high`, reason.
    """
    counts = ["by", "group", "images", "patients", "positive", "negative"]
    values = ["auc", "auc_low", "auc_high", *RATES]
    rows = [
        [model["name"], *(row[name] for name in (*counts, *values)), row["reason"]]
        for model in results["models"]
        for row in model["subgroups"]
    ]
    table = pd.DataFrame(rows, columns=pd.Index(["model", *counts, *values, "reason"]))
    return table.astype(dict.fromkeys(values, float))


def details_markdown(results: Mapping[str, Any]) -> str:
    """Both tables as Markdown; a group too small for an AUC shows its counts and a dash."""
    head = ["model", "threshold", "sensitivity", "specificity", "calibration intercept", "slope", "Brier"]
    rows = []
    for model in results["models"]:
        at, calibration = model["threshold"], model["calibration"]
        fitted = [number(calibration[name], 3) for name in ("intercept", "slope", "brier")]
        rows.append(
            [model["name"], number(at["value"], 3), _rate(at, "sensitivity"), _rate(at, "specificity"), *fitted]
        )
    parts = ["## At a threshold chosen on training images", markdown_table(head, rows), "## By group"]
    head = ["model", "group", "images", "positive", "negative", "AUC", "sensitivity", "specificity"]
    rows = []
    for model in results["models"]:
        for row in model["subgroups"]:
            counts = [str(row[name]) for name in ("images", "positive", "negative")]
            rates = [_rate(row, name) for name in ("auc", "sensitivity", "specificity")]
            rows.append([model["name"], f"{row['by']}: {row['group']}", *counts, *rates])
    return "\n\n".join([*parts, markdown_table(head, rows)]) + "\n"


def _rate(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    return "–" if value is None else f"{number(value, 2)} {interval(row[f'{name}_low'], row[f'{name}_high'])}"
