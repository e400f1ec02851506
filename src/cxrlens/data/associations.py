"""How well one column of the cohort's own table tells the label: what a network could learn instead of the lungs.

A metadata-only classifier, kept as small as it gets: each image is scored with the share of positives among images of
*other* patients (folds by patient) that have the same value, unknown being a value too. Maguolo & Nanni
(arXiv:2004.12823) and DeGrave et al. (doi:10.1038/s42256-021-00338-7) show why it matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cxrlens.data.grouping import group_labels, grouped_folds

FOLDS = 5
TOLD = 0.8  # AUC from which a column is said to tell the label


@dataclass(frozen=True)
class Association:
    """What one column says of the label.

    Attributes:
        column: its name; `year` is the date's, `age` is by decade, `file ...` are facts of the file.
        auc: of the label from this column alone, across patients; 0.5 says nothing, and a chance result on few
            patients may be below.
        values: how many different values it has.
        unknown: rows without one.
    """

    column: str
    auc: float
    values: int
    unknown: int


def associations(table: pd.DataFrame, facts: pd.DataFrame | None = None, seed: int = 0) -> tuple[Association, ...]:
    """Every column that has more than one value, the most telling first; none where folds by patient cannot be drawn.

    Args:
        table: the cohort's.
        facts: of the cache: `image`, `width`, `height`, `mode`, `format`.
        seed: of the folds.
    """
    known = table[table["label"].notna()].reset_index(drop=True)
    if not len(known):
        return ()
    group, patients = group_labels(known, None)
    if min(patients.values()) < FOLDS:
        return ()
    label = known["label"].to_numpy(dtype=float)
    folds = grouped_folds(group, label, FOLDS, np.random.default_rng(seed))
    found = []
    for name, values in _columns(known, facts).items():
        if len(set(values)) > 1:
            auc = float(roc_auc_score(label, _scores(values, label, folds)))
            found.append(Association(name, auc, len(set(values) - {""}), values.count("")))
    return tuple(sorted(found, key=lambda one: -one.auc))


def _scores(values: list[str], label: np.ndarray, folds: list[np.ndarray]) -> np.ndarray:
    """Share of positives among other folds' images with the same value, drawn to the prevalence by one image."""
    codes = pd.factorize(np.array(values, dtype=object))[0]
    scores = np.empty(len(label))
    for held_out in folds:
        images = np.bincount(codes[~held_out], minlength=codes.max() + 1)
        positive = np.bincount(codes[~held_out], label[~held_out], minlength=codes.max() + 1)
        scores[held_out] = ((positive + label.mean()) / (images + 1))[codes[held_out]]
    return scores


def _columns(table: pd.DataFrame, facts: pd.DataFrame | None) -> dict[str, list[str]]:
    """Columns as text, unknown as ''."""
    columns = {
        name: ["" if value is None else str(value) for value in table[name]]
        for name in ("view", "source", "site", "sex", "license")
    }
    columns["age"] = ["" if np.isnan(age) else f"{age // 10:.0f}0s" for age in table["age"]]
    columns["year"] = [_year(date) for date in table["date"]]
    if facts is not None:
        by_image = facts.drop_duplicates("image").set_index("image").reindex(table["image"])
        for name in ("mode", "format"):
            if name in by_image:
                columns[f"file {name}"] = ["" if pd.isna(value) else str(value) for value in by_image[name]]
        if {"width", "height"} <= set(by_image):
            ratio = pd.to_numeric(by_image["width"]) / pd.to_numeric(by_image["height"])
            columns["file shape"] = ["" if pd.isna(value) else f"{value:.1f}" for value in ratio]
    return columns


def _year(date: object) -> str:
    """The first four digits in a row, which every way of writing a date has; '' where there are none."""
    if not isinstance(date, str):
        return ""
    return next((date[k : k + 4] for k in range(len(date) - 3) if date[k : k + 4].isdigit()), "")
