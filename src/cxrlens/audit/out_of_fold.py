"""How well facts about images tell the label of patients that the classifier has not seen."""

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
STRENGTH = 0.1  # of the logistic regression: most columns are values that few images have


def classifier(name: ClassifierName, seed: int) -> Any:
    """A new scikit-learn classifier: "forest" is of extremely randomised trees (Geurts et al. 2006)."""
    if name == "logistic":
        return logistic(STRENGTH)
    if name == "forest":
        return ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=seed)
    return HistGradientBoostingClassifier(max_leaf_nodes=8, min_samples_leaf=5, max_iter=60, random_state=seed)


def no_estimate(labels: np.ndarray, patients: np.ndarray) -> str:
    """Why the label of these images cannot be told across patients, else ""."""
    positive, negative = int(labels.sum()), int((~labels).sum())
    if min(positive, negative) < 2:
        return too_few(positive, negative)
    of = [len(np.unique(patients[side])) for side in (labels, ~labels)]
    if min(of) < 2:
        return f"at least 2 patients of each class are needed; got {of[0]} with positive images and {of[1]} with others"
    return ""


def auc_of_facts(
    features: np.ndarray,
    labels: np.ndarray,
    patients: np.ndarray,
    judging: IntervalOptions,
    name: ClassifierName,
    folds: int,
    seeds: int,
    apart: np.ndarray | None = None,
    progress: Progress = SILENT,
) -> Estimate:
    """AUC of a classifier on other folds' images, averaged over seeds, with its interval over patients.

    Args:
        features: float [n, d].
        labels: bool [n].
        patients: of the interval, [n].
        judging: of the interval.
        name: of the classifier.
        folds: at most so many; fewer where a class has fewer patients.
        seeds: of the folds and the classifier.
        apart: what a fold may not share with another, [n]; the patients where nothing else is given.
        progress: where the work is shown.
    """
    parts = draw_folds(labels, patients if apart is None else apart, folds, seeds)

    def score(seed: int) -> np.ndarray:
        return fold_scores(features, labels.astype(int), parts[seed], lambda: classifier(name, seed))

    return over_seeds(score, parts, labels, patients, judging, progress)


def draw_folds(labels: np.ndarray, apart: np.ndarray, folds: int, seeds: int) -> list[np.ndarray]:
    """Each seed's fold of each image, int [n]; images that are alike in `apart` are in one."""
    return [patient_folds(apart, labels.astype(int), folds, seed) for seed in range(seeds)]


def over_seeds(
    score: Callable[[int], np.ndarray],
    parts: Sequence[np.ndarray],
    labels: np.ndarray,
    patients: np.ndarray,
    judging: IntervalOptions,
    progress: Progress = SILENT,
) -> Estimate:
    """The mean AUC of several seeds' scores, each of pairs within a fold, of the same patients.

    Args:
        score: seed → scores of all images, [n].
        parts: each seed's folds.
        labels: bool [n].
        patients: [n].
        judging: of the interval.
        progress: where the work is shown.
    """
    found = []
    with progress.task("asking the table for the label", len(parts)) as task:
        for seed, part in enumerate(parts):
            found.append(auc_estimate(score(seed), labels, patients, judging, part=part))
            task.update(seed + 1)
    return mean_estimate(found, judging.level)


# A cohort's labelled images, and what is known of them as numbers that a classifier can take.


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a known label.

    Attributes:
        table: the cohort's rows of these, [n].
        labels: bool [n].
        patients: of each, merged ids as one, [n].
    """

    table: pd.DataFrame
    labels: np.ndarray
    patients: np.ndarray


def labelled(case: CohortCase, images: Sequence[str] | None = None) -> Labelled:
    """The images whose label is known, in the table's order, or in that of `images` where only those are wanted."""
    table = case.table
    if images is not None:
        table = table.set_index("image", drop=False).loc[list(images)]
    table = table[table["label"].notna()].reset_index(drop=True)
    patients = [case.groups.get(patient, patient) for patient in table["patient"]]
    return Labelled(table, table["label"].to_numpy(float) == 1, np.array(patients, dtype=str))


def limits(case: CohortCase, own: str) -> str:
    """A probe's own limits, and those of folds and intervals by patient."""
    told = f"{own}; the interval takes the classifiers as fitted, so it is a little narrow"
    warning = patients_warning(case.table)
    return f"{told}; {warning}" if warning else told


def unseen(case: CohortCase) -> str:
    """Whom the classifier has not seen: "patients", or "images" where no patient is known."""
    return "patients" if known_patients(case.table).any() else "images"


def without_columns(names: Sequence[str], values: Mapping[str, Sequence[str]]) -> str:
    """The reason why columns are not asked, where no image has a value in any of them; '' where one has.

    >>> without_columns(["view", "age"], {"view": ["", ""], "age": ["", ""]})
    'the study has no view or age'
    >>> without_columns(["view", "age"], {"view": ["PA", ""], "age": ["", ""]})
    ''
    """
    if any(any(values[name]) for name in names):
        return ""
    return f"the study has no {' or '.join(listing(names).rsplit(' and ', 1))}"


def one_hot(values: Sequence[str]) -> np.ndarray:
    """A column for each value that at least two images have, and not all; unknown ('') is a value: float [n, d]."""
    names, counts = np.unique(np.array(values, dtype=str), return_counts=True)
    kept = names[(counts >= 2) & (counts < len(values))]
    return (np.array(values, dtype=str)[:, None] == kept).astype(float)


def numbers(values: np.ndarray) -> np.ndarray:
    """The number (the median where unknown) and whether it is unknown, [n] → [n, d]; constant columns are left out."""
    unknown = np.isnan(values)
    if unknown.all():
        return np.empty((len(values), 0))
    both = np.stack([np.where(unknown, np.median(values[~unknown]), values), unknown.astype(float)], axis=1)
    return both[:, np.ptp(both, axis=0) > 0]
