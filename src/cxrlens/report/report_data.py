"""What a page is made from: a run's files as read, and what of them may leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit


@dataclass(frozen=True, eq=False)
class Gallery:
    """Every validation image with its maps, as the run keeps them.

    Attributes:
        images: names, [n].
        pixels: uint8 [n, size, size].
        maps: model → method → raw signed maps, float [n, h, w], at the method's own resolution or less.
        margins: model → method → cells (rows, columns) that the maps lack on each side.
        lungs: bool [n, size, size], all false where unknown; None where nobody knows any.
        thresholds: model → the logit from which its first network, whose maps these are, calls an image positive:
            chosen on its training images. A model without one has no entry.
        missing: model → method → why the model has no maps of it.
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
    """A run's files.

    Attributes:
        results: `results.json`.
        environment: `environment.json`.
        study: the study file's text.
        cohort: `cohort.csv`: a row a listed image; `side`, from `splits.csv`, is "train", "validation", "fold 0" where
            it was validated in one of several folds, or unknown.
        predictions: `predictions.csv`.
        explained: `explain.json`; None where nothing was explained.
        audited: `audit.json`; None where the run was not audited.
        elsewhere: files of `external/`: the run's models on images from elsewhere.
        pictures: figure's name → PNG.
        gallery: None where the run keeps no maps, or images must not leave.
    """

    results: Mapping[str, Any]
    environment: Mapping[str, Any]
    study: str
    cohort: pd.DataFrame
    predictions: pd.DataFrame
    explained: Mapping[str, Any] | None = None
    audited: Mapping[str, Any] | None = None
    elsewhere: Sequence[Mapping[str, Any]] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    gallery: Gallery | None = None


def as_logit(probability: float | None) -> float | None:
    """The logit of a probability, always finite; None where it is unknown.

    >>> as_logit(0.5), as_logit(1.0) > 36, as_logit(None)
    (0.0, True, None)
    """
    if probability is None or np.isnan(probability):
        return None
    return float(logit(np.clip(probability, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)))
