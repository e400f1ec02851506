"""How well facts about images tell the label of patients that the classifier has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from cxrlens.audit.estimate import Estimate, Judging, auc_estimate, mean_estimate
from cxrlens.data.grouping import patient_folds
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
    judging: Judging,
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
    judging: Judging,
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
