"""The data of a report: the files of a run, as read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit


@dataclass(frozen=True, eq=False)
class Gallery:
    """The validation images with their maps, as the run keeps them.

    Attributes:
        images: names of the images, [n].
        pixels: grey values of the images, uint8 [n, size, size].
        maps: model → method → raw signed maps, float [n, h, w], at the resolution of the method or lower.
        margins: model → method → cells (rows, columns) that are missing on each side of the maps.
        lungs: masks of the lungs, bool [n, size, size], all false for an image without mask; None without any mask.
        thresholds: model → logit from which the network of its first seed and fold, which made the maps, classifies an
            image as positive. It was chosen on training images. A model without a threshold has no entry.
        missing: model → method → why the model has no maps of this method.
    """

    images: tuple[str, ...]
    pixels: np.ndarray
    maps: Mapping[str, Mapping[str, np.ndarray]]
    margins: Mapping[str, Mapping[str, tuple[int, int]]]
    lungs: np.ndarray | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReportData:
    """The files of a run.

    Attributes:
        results: content of `results.json`.
        environment: content of `environment.json`.
        study: text of the study file.
        cohort: `cohort.csv` with one row per listed image. Its column `side`, from `splits.csv`, is "train",
            "validation", "fold 0" (validated in this one of several folds), or unknown.
        predictions: table of `predictions.csv`.
        explanations: content of `explain.json`; None if there are no explanations.
        audit: content of `audit.json`; None if the run was not audited.
        external: contents of the files in `external/`: evaluations of the run's models on external images.
        pictures: name of a figure → PNG.
        gallery: the validation images with their maps; None if the run keeps no maps, or if images must not be shared.
    """

    results: Mapping[str, Any]
    environment: Mapping[str, Any]
    study: str
    cohort: pd.DataFrame
    predictions: pd.DataFrame
    explanations: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    external: Sequence[Mapping[str, Any]] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    gallery: Gallery | None = None


def as_logit(probability: float | None) -> float | None:
    """The logit of a probability, always finite; None for an unknown probability.

    >>> as_logit(0.5), as_logit(1.0) > 36, as_logit(None)
    (0.0, True, None)
    """
    if probability is None or np.isnan(probability):
        return None
    return float(logit(np.clip(probability, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)))
