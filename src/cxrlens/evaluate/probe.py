"""Linear probes: what logistic regression reads off frozen features (Alain and Bengio 2016, arXiv:1610.01644)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrlens.evaluate.findings import FindingAuc, finding_auc

C = 0.01  # strength of the penalty: features outnumber images


def linear_probe(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str],
    folds: int = 5,
    seed: int = 0,
    level: float = 0.95,
    draws: int = 2000,
) -> FindingAuc:
    """The AUC of a penalised logistic regression on standardised features, by folds that keep patients apart.

    Args:
        name: of what is probed.
        features: float [n, d].
        labels: 1, 0 or NaN (left out), [n].
        patients: of each image; a patient is in one fold.
        folds: at most so many; fewer where a class has fewer patients.
        seed: of the folds and the bootstrap.
        level: of the interval.
        draws: of the bootstrap over patients.
    """
    known = np.flatnonzero(~np.isnan(labels))
    x, y, who = features[known], labels[known].astype(int), np.asarray(patients, dtype=str)[known]
    most = min((len(np.unique(who[y == side])) for side in (0, 1)), default=0)
    scores, part = np.zeros(len(known)), np.zeros(len(known), dtype=int)
    if min(folds, most) >= 2:
        draw = StratifiedGroupKFold(min(folds, most), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a fold with few images of a class
            sides = list(draw.split(x, y, who))
        for fold, (inside, outside) in enumerate(sides):
            part[outside] = fold
            if len(np.unique(y[inside])) == 2:
                model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
                scores[outside] = model.fit(x[inside], y[inside]).decision_function(x[outside])
    return finding_auc(name, labels[known], scores, who.tolist(), part, level, draws, seed)
