"""Cross-validated AUC of the label from facts about the images, on patients that the classifier has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from cxrlens.audit.base import Estimate, IntervalOptions, auc_estimate, listing, mean_estimate
from cxrlens.audit.case import CohortCase
from cxrlens.data.cohort import known_patients
from cxrlens.data.grouping import patient_folds
from cxrlens.data.split import patients_warning
from cxrlens.evaluate.auc import too_few
from cxrlens.evaluate.probe import fold_scores, logistic
from cxrlens.progress import SILENT, Progress

ClassifierName = Literal["logistic", "forest", "gradient_boosting"]
TREES = 100
STRENGTH = 0.1  # inverse strength of the penalty: most columns are values that few images have


def classifier(name: ClassifierName, seed: int) -> Any:
    """A new scikit-learn classifier: "forest" is of extremely randomised trees (Geurts et al. 2006)."""
    if name == "logistic":
        return logistic(STRENGTH)
    if name == "forest":
        return ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=seed)
    return HistGradientBoostingClassifier(max_leaf_nodes=8, min_samples_leaf=5, max_iter=60, random_state=seed)


def no_estimate_reason(labels: np.ndarray, patients: np.ndarray) -> str:
    """The reason why the label of these images cannot be predicted for other patients, else ""."""
    positive, negative = int(labels.sum()), int((~labels).sum())
    if min(positive, negative) < 2:
        return too_few(positive, negative)
    counts = [len(np.unique(patients[of_class])) for of_class in (labels, ~labels)]
    if min(counts) < 2:
        return (
            f"at least 2 patients of each class are needed; got {counts[0]} with positive images and {counts[1]} with "
            "negative images"
        )
    return ""


def auc_of_facts(
    features: np.ndarray,
    labels: np.ndarray,
    patients: np.ndarray,
    intervals: IntervalOptions,
    name: ClassifierName,
    folds: int,
    seeds: int,
    separated_by: np.ndarray | None = None,
    progress: Progress = SILENT,
) -> Estimate:
    """Cross-validated AUC of a classifier, averaged over seeds, with its interval over patients.

    Args:
        features: features of each image, float [n, d].
        labels: whether each image is positive, bool [n].
        patients: patient of each image, for the interval, [n].
        intervals: how the interval is made.
        name: name of the classifier.
        folds: number of folds; fewer where a class has fewer patients.
        seeds: number of seeds of the folds and of the classifier.
        separated_by: group of each image, [n]; a group is in one fold. By default the patients.
        progress: display of the progress.
    """
    seed_folds = draw_folds(labels, patients if separated_by is None else separated_by, folds, seeds)

    def score(seed: int) -> np.ndarray:
        return fold_scores(features, labels.astype(int), seed_folds[seed], lambda: classifier(name, seed))

    return auc_over_seeds(score, seed_folds, labels, patients, intervals, progress)


def draw_folds(labels: np.ndarray, separated_by: np.ndarray, folds: int, seeds: int) -> list[np.ndarray]:
    """The folds of each seed, int [n]; images with equal `separated_by` are in one fold."""
    return [patient_folds(separated_by, labels.astype(int), folds, seed) for seed in range(seeds)]


def auc_over_seeds(
    score: Callable[[int], np.ndarray],
    seed_folds: Sequence[np.ndarray],
    labels: np.ndarray,
    patients: np.ndarray,
    intervals: IntervalOptions,
    progress: Progress = SILENT,
) -> Estimate:
    """The mean AUC over seeds, each over pairs within a fold, with its interval over patients.

    Args:
        score: function from a seed to the scores of all images, [n].
        seed_folds: folds of each seed, [n] each.
        labels: whether each image is positive, bool [n].
        patients: patient of each image, [n].
        intervals: how the interval is made.
        progress: display of the progress.
    """
    estimates = []
    with progress.task("predicting the label from the table", len(seed_folds)) as task:
        for seed, folds in enumerate(seed_folds):
            estimates.append(auc_estimate(score(seed), labels, patients, intervals, strata=folds))
            task.update(seed + 1)
    return mean_estimate(estimates, intervals.level)


# Labelled images of a cohort, and their facts as features of a classifier.


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a known label.

    Attributes:
        table: rows of the cohort's table of these images, [n].
        labels: whether each image is positive, bool [n].
        patients: patient of each image, merged ids as one, [n].
    """

    table: pd.DataFrame
    labels: np.ndarray
    patients: np.ndarray


def labelled(case: CohortCase, images: Sequence[str] | None = None) -> Labelled:
    """The images whose label is known, in the order of the table, or those among `images`, in their order."""
    table = case.table
    if images is not None:
        table = table.set_index("image", drop=False).loc[list(images)]
    table = table[table["label"].notna()].reset_index(drop=True)
    patients = [case.groups.get(patient, patient) for patient in table["patient"]]
    return Labelled(table, table["label"].to_numpy(float) == 1, np.array(patients, dtype=str))


def limits_text(case: CohortCase, own: str) -> str:
    """The limits of a probe as text: its own, and those of folds and intervals by patient."""
    text = f"{own}; the interval takes the classifiers as fitted, so it is slightly too narrow"
    warning = patients_warning(case.table)
    return f"{text}; {warning}" if warning else text


def unseen_name(case: CohortCase) -> str:
    """What the folds keep apart: "patients", or "images" where no patient is known."""
    return "patients" if known_patients(case.table).any() else "images"


def no_columns_reason(names: Sequence[str], values: Mapping[str, Sequence[str]]) -> str:
    """The reason why columns cannot be used: no image has a value in any of them; '' where one has.

    >>> no_columns_reason(["view", "age"], {"view": ["", ""], "age": ["", ""]})
    'the study has no view or age'
    >>> no_columns_reason(["view", "age"], {"view": ["PA", ""], "age": ["", ""]})
    ''
    """
    if any(any(values[name]) for name in names):
        return ""
    return f"the study has no {' or '.join(listing(names).rsplit(' and ', 1))}"


def one_hot(values: Sequence[str]) -> np.ndarray:
    """Indicator columns of the values that 2 to n - 1 images have, float [n, d]; unknown ('') is a value."""
    names, counts = np.unique(np.array(values, dtype=str), return_counts=True)
    used = names[(counts >= 2) & (counts < len(values))]
    return (np.array(values, dtype=str)[:, None] == used).astype(float)


def numbers(values: np.ndarray) -> np.ndarray:
    """Numbers (the median where unknown) and whether they are unknown, [n] → [n, d]; constant columns are left out."""
    unknown = np.isnan(values)
    if unknown.all():
        return np.empty((len(values), 0))
    columns = np.stack([np.where(unknown, np.median(values[~unknown]), values), unknown.astype(float)], axis=1)
    return columns[:, np.ptp(columns, axis=0) > 0]
