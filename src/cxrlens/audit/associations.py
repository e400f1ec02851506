"""How well one column of the cohort's own table tells the label: what a network could learn instead of the lungs.

A metadata-only classifier, kept as small as it gets: each image is scored with the share of positives among images of
*other* patients (folds by patient) that have the same value, unknown being a value too. Maguolo & Nanni
(arXiv:2004.12823) and DeGrave et al. (doi:10.1038/s42256-021-00338-7) show why it matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cxrlens.data.grouping import patient_folds

FOLDS = 5
SEEDS = 3
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


def associations(
    table: pd.DataFrame,
    facts: pd.DataFrame | None = None,
    groups: Mapping[str, str] | None = None,
    folds: int = FOLDS,
    seeds: int = SEEDS,
) -> tuple[Association, ...]:
    """Every column that has more than one value, the most telling first; none where folds by patient cannot be drawn.

    Args:
        table: the cohort's.
        facts: of the cache: `image`, `width`, `height`, `mode`, `format`.
        groups: patient → the patient it counts as, where one stands under several ids.
        folds: by patient.
        seeds: draws of the folds, over which the AUC is averaged.
    """
    known = table[table["label"].notna()].reset_index(drop=True)
    if not len(known):
        return ()
    who = np.array([(groups or {}).get(patient, patient) for patient in known["patient"]], dtype=str)
    label = known["label"].to_numpy(dtype=float)
    if min(len(np.unique(who[label == side])) for side in (0, 1)) < folds:
        return ()
    parts = [patient_folds(who, label, folds, seed) for seed in range(seeds)]
    found = []
    for name, values in columns(known, facts).items():
        if len(set(values)) > 1:
            auc = float(np.mean([_auc(label, share_of_positives(values, label, part), part) for part in parts]))
            found.append(Association(name, auc, len(set(values) - {""}), values.count("")))
    return tuple(sorted(found, key=lambda one: -one.auc))


def share_of_positives(values: Sequence[str], label: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Share of positives among other folds' images with the same value, drawn to the prevalence by one image.

    Args:
        values: [n].
        label: 1 or 0, [n].
        part: fold of each image, [n].
    """
    codes = pd.factorize(np.array(values, dtype=object))[0]
    scores = np.empty(len(label))
    for fold in np.unique(part):
        held_out = part == fold
        images = np.bincount(codes[~held_out], minlength=codes.max() + 1)
        positive = np.bincount(codes[~held_out], label[~held_out], minlength=codes.max() + 1)
        scores[held_out] = ((positive + label.mean()) / (images + 1))[codes[held_out]]
    return scores


def columns(table: pd.DataFrame, facts: pd.DataFrame | None = None) -> dict[str, list[str]]:
    """Name → the column as text, unknown as ''; `age` by decade, `year` of the date."""
    found = {
        name: ["" if value is None else str(value) for value in table[name]]
        for name in ("view", "source", "site", "sex", "license")
    }
    found["age"] = ["" if np.isnan(age) else f"{age // 10:.0f}0s" for age in table["age"]]
    found["year"] = [_year(date) for date in table["date"]]
    if facts is not None:
        by_image = facts.drop_duplicates("image").set_index("image").reindex(table["image"])
        for name in ("mode", "format"):
            if name in by_image:
                found[f"file {name}"] = ["" if pd.isna(value) else str(value) for value in by_image[name]]
        if {"width", "height"} <= set(by_image):
            ratio = pd.to_numeric(by_image["width"]) / pd.to_numeric(by_image["height"])
            found["file shape"] = ["" if pd.isna(value) else f"{value:.1f}" for value in ratio]
    return found


def _auc(label: np.ndarray, scores: np.ndarray, part: np.ndarray) -> float:
    """Of pairs within a fold: another fold's scores come from other images. 0.5 where there is no pair."""
    ordered, pairs = 0.0, 0.0
    for fold in np.unique(part):
        of_fold = label[part == fold]
        if 0 < of_fold.sum() < len(of_fold):
            weight = of_fold.sum() * (len(of_fold) - of_fold.sum())
            ordered += weight * float(roc_auc_score(of_fold, scores[part == fold]))
            pairs += weight
    return ordered / pairs if pairs else 0.5


def _year(date: object) -> str:
    """The first four digits in a row, which every way of writing a date has; '' where there are none."""
    if not isinstance(date, str):
        return ""
    return next((date[k : k + 4] for k in range(len(date) - 3) if date[k : k + 4].isdigit()), "")
