"""How well single columns of the cohort's table predict the label: a network could learn these instead of the lungs.

The classifier is as simple as possible. An image's score is the share of positive images among images of *other*
patients (folds by patient) with the same value; "unknown" is a value too. Maguolo & Nanni (arXiv:2004.12823) and
DeGrave et al. (doi:10.1038/s42256-021-00338-7) show why it matters.
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
PREDICTIVE = 0.8  # AUC from which a column counts as a strong predictor of the label


@dataclass(frozen=True)
class Association:
    """How well one column predicts the label.

    Attributes:
        column: name of the column; `year` is the year of the date, `age` is in decades, `file ...` are facts of the
            file.
        auc: AUC of the label by this column alone, on other patients; 0.5 is chance, and with few patients it may be
            below.
        values: number of different known values.
        unknown: number of images without a value.
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
    """Every column with more than one value, by falling AUC; none where folds by patient cannot be drawn.

    Args:
        table: table of the cohort.
        facts: facts of the images' files: `image`, `width`, `height`, `mode`, `format`.
        groups: patient → patient that it counts as, where a patient has several ids.
        folds: number of folds, by patient.
        seeds: number of draws of the folds, over which the AUC is averaged.
    """
    known = table[table["label"].notna()].reset_index(drop=True)
    if not len(known):
        return ()
    patients = np.array([(groups or {}).get(patient, patient) for patient in known["patient"]], dtype=str)
    label = known["label"].to_numpy(dtype=float)
    if min(len(np.unique(patients[label == value])) for value in (0, 1)) < folds:
        return ()
    draws = [patient_folds(patients, label, folds, seed) for seed in range(seeds)]
    result = []
    for name, values in columns(known, facts).items():
        if len(set(values)) > 1:
            auc = float(np.mean([_auc(label, share_of_positives(values, label, fold), fold) for fold in draws]))
            result.append(Association(name, auc, len(set(values) - {""}), values.count("")))
    return tuple(sorted(result, key=lambda association: -association.auc))


def share_of_positives(values: Sequence[str], label: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Score of each image, [n]: the share of positives among images of other folds with the same value.

    One image of the prevalence is added to each share, so that a value of few images gives no extreme score.

    Args:
        values: value of each image, [n].
        label: label of each image, 1 or 0, [n].
        fold_of: fold of each image, [n].
    """
    codes = pd.factorize(np.array(values, dtype=object))[0]
    scores = np.empty(len(label))
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        images = np.bincount(codes[~held_out], minlength=codes.max() + 1)
        positive = np.bincount(codes[~held_out], label[~held_out], minlength=codes.max() + 1)
        scores[held_out] = ((positive + label.mean()) / (images + 1))[codes[held_out]]
    return scores


def columns(table: pd.DataFrame, facts: pd.DataFrame | None = None) -> dict[str, list[str]]:
    """Name → the column as text, unknown as ''; `age` in decades, `year` of the date."""
    result = {
        name: ["" if value is None else str(value) for value in table[name]]
        for name in ("view", "source", "site", "sex", "license")
    }
    result["age"] = ["" if np.isnan(age) else f"{age // 10:.0f}0s" for age in table["age"]]
    result["year"] = [_year(date) for date in table["date"]]
    if facts is not None:
        by_image = facts.drop_duplicates("image").set_index("image").reindex(table["image"])
        for name in ("mode", "format"):
            if name in by_image:
                result[f"file {name}"] = ["" if pd.isna(value) else str(value) for value in by_image[name]]
        if {"width", "height"} <= set(by_image):
            ratio = pd.to_numeric(by_image["width"]) / pd.to_numeric(by_image["height"])
            result["file shape"] = ["" if pd.isna(value) else f"{value:.1f}" for value in ratio]
    return result


def _auc(label: np.ndarray, scores: np.ndarray, fold_of: np.ndarray) -> float:
    """AUC over pairs within a fold, since other folds have other scores; 0.5 without any pair."""
    ordered, pairs = 0.0, 0.0
    for fold in np.unique(fold_of):
        of_fold = label[fold_of == fold]
        if 0 < of_fold.sum() < len(of_fold):
            weight = of_fold.sum() * (len(of_fold) - of_fold.sum())
            ordered += weight * float(roc_auc_score(of_fold, scores[fold_of == fold]))
            pairs += weight
    return ordered / pairs if pairs else 0.5


def _year(date: object) -> str:
    """The first four successive digits of a date, whatever its format; '' where there are none."""
    if not isinstance(date, str):
        return ""
    return next((date[k : k + 4] for k in range(len(date) - 3) if date[k : k + 4].isdigit()), "")
