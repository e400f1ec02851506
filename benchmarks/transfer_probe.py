"""What pretrained features are worth on another cohort: logistic regression on them, by three kinds of folds.

    python benchmarks/transfer_probe.py COVID_FOLDER BACKBONE=WEIGHTS@SIZE ...

such as `tf_efficientnet_lite0=efficientnet-lite0-cxr@160`. Pooled features of the paper's cohort (grey, bilinear),
standardised, C = 0.01: the AUC on the paper's validation side, and the mean and standard deviation over ten draws of
three folds, by image and by patient. Then each pair by patient: the difference with an interval over patients, of
scores that are the mean rank over the ten draws.
"""

from __future__ import annotations

import platform
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrlens.data.cache import build_cache
from cxrlens.data.duplicates import find_duplicates
from cxrlens.data.sources.covid_chestxray import CovidChestXray
from cxrlens.evaluate.auc import auc, auc_difference
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.train.device import choose_device
from cxrlens.train.distil import pooled_features
from cxrlens.train.inputs import LabelledImages

REPETITIONS, FOLDS = 10, 3
VIEWS = ("PA", "AP", "AP Supine", "AP semi erect")


def model():
    """The probe."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))


def out_of_fold(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None, seed: int) -> tuple[float, np.ndarray]:
    """AUC of the scores, ranked within their fold so that folds can be put together, and those ranks."""
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    scores = np.zeros(len(y))
    for inside, outside in kind(FOLDS, shuffle=True, random_state=seed).split(x, y, groups):
        raw = model().fit(x[inside], y[inside]).decision_function(x[outside])
        scores[outside] = rankdata(raw) / len(outside)
    return auc(y, scores), scores


def main(folder: Path, specs: list[str]) -> None:
    """Prints both tables."""
    source = CovidChestXray(views=VIEWS)
    cohort = source.cohort(folder)
    device = choose_device("auto")
    print(f"{platform.processor() or platform.machine()}, {device.title}, torch {torch.__version__}")
    listed = cohort.table
    _, held_out = train_test_split(np.arange(len(listed)), test_size=0.33, random_state=42)
    held_out = set(listed["image"].iloc[held_out])
    print("| weights | the paper's split | image folds | patient folds |\n| --- | ---: | ---: | ---: |")
    ranks: dict[str, np.ndarray] = {}
    for spec in specs:
        backbone, rest = spec.split("=", 1)
        weights, size = rest.rsplit("@", 1)
        network = build_classifier(
            ModelOptions(name=spec, backbone=backbone, weights=weights, head="linear"), int(size), 0
        )
        cache = build_cache(cohort, int(size), "bilinear")
        table = listed[listed["image"].isin(list(cache.index))].reset_index(drop=True)
        group = find_duplicates(table, cache).groups
        patients = np.array([group[patient] for patient in table["patient"]])
        y = table["label"].to_numpy(int)
        x = pooled_features(network, LabelledImages(cache, tuple(table["image"]), y.astype(np.float32)), device)
        out = table["image"].isin(held_out).to_numpy()
        own = auc(y[out], model().fit(x[~out], y[~out]).decision_function(x[out]))
        by_image = [out_of_fold(x, y, None, seed)[0] for seed in range(REPETITIONS)]
        by_patient = [out_of_fold(x, y, patients, seed) for seed in range(REPETITIONS)]
        ranks[spec] = np.mean([scores for _, scores in by_patient], axis=0)
        aucs = [value for value, _ in by_patient]
        print(
            f"| {spec} | {own:.3f} | {np.mean(by_image):.3f} ± {np.std(by_image):.3f} | "
            f"{np.mean(aucs):.3f} ± {np.std(aucs):.3f} |",
            flush=True,
        )
    print("\n| a − b, patient folds | difference [95% by patients] |\n| --- | ---: |")
    for a, b in combinations(ranks, 2):
        found = auc_difference(y, ranks[a], ranks[b], patients)
        print(f"| {a} − {b} | {found.difference:+.3f} [{found.low:.3f}, {found.high:.3f}] |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
