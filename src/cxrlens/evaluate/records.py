"""The results of an evaluation, as frozen records and as plain values for `results.json`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrlens.evaluate.calibration import Calibration
from cxrlens.evaluate.comparisons import Comparison, Winner
from cxrlens.evaluate.curves import Curves
from cxrlens.evaluate.subgroups import Subgroup


@dataclass(frozen=True)
class OperatingPoint:
    """Sensitivity and specificity at a threshold chosen on training data.

    Attributes:
        value: threshold as a probability; the mean over networks, each of which has its own.
        rule: name of the rule that chose it, see `calibration.RULES`.
        sensitivity: share of positive images that are called positive.
        sensitivity_low: lower end of its interval by patients.
        sensitivity_high: upper end of its interval by patients.
        sensitivity_wilson_low: lower end of Wilson's interval by images.
        sensitivity_wilson_high: upper end of Wilson's interval by images.
        specificity: share of negative images that are called negative.
        specificity_low: lower end of its interval by patients.
        specificity_high: upper end of its interval by patients.
        specificity_wilson_low: lower end of Wilson's interval by images.
        specificity_wilson_high: upper end of Wilson's interval by images.
        reason: why there is no threshold, else "".
    """

    value: float
    rule: str
    sensitivity: float
    sensitivity_low: float
    sensitivity_high: float
    sensitivity_wilson_low: float
    sensitivity_wilson_high: float
    specificity: float
    specificity_low: float
    specificity_high: float
    specificity_wilson_low: float
    specificity_wilson_high: float
    reason: str = ""


@dataclass(frozen=True)
class SeedAuc:
    """The AUC of one seed: the mean over the networks of its folds, weighted by pairs."""

    seed: int
    auc: float


@dataclass(frozen=True)
class ModelResult:
    """A row of Table 1.

    Attributes:
        name: name of the model.
        auc: mean over seeds of the mean over folds, weighted by pairs.
        auc_low: lower end of the interval by patients; NaN where `reason` says why.
        auc_high: upper end of the interval by patients; NaN where `reason` says why.
        auc_train_low: lower end of the interval over patients and trainings; NaN with fewer than 3 trainings.
        auc_train_high: upper end of the interval over patients and trainings; NaN with fewer than 3 trainings.
        rough: whether the intervals are rough because a class has 5 to 9 patients.
        reason: why there is no interval, else "".
        seeds: number of seeds.
        folds: number of folds.
        auc_seed_sd: standard deviation of the AUC over seeds; NaN with one seed.
        seed_aucs: AUC of each seed.
        images: number of validation images with a known label.
        patients: number of their patients.
        positive: number of positive images.
        negative: number of negative images.
        calibration: agreement of the probabilities with the observed shares.
        threshold: sensitivity and specificity at the threshold chosen on training data.
        curves: points of the ROC, precision-recall and reliability curves.
        subgroups: results by sex, age group, view and source.
    """

    name: str
    auc: float
    auc_low: float
    auc_high: float
    auc_train_low: float
    auc_train_high: float
    rough: bool
    reason: str
    seeds: int
    folds: int
    auc_seed_sd: float
    seed_aucs: tuple[SeedAuc, ...]
    images: int
    patients: int
    positive: int
    negative: int
    calibration: Calibration
    threshold: OperatingPoint
    curves: Curves
    subgroups: tuple[Subgroup, ...]


@dataclass(frozen=True)
class Settings:
    """How the intervals were made.

    Attributes:
        level: confidence level of the intervals, between 0 and 1.
        method: name of the method of the intervals by patients.
        trainings: what the interval over patients and trainings counts: "seeds", "folds", or "" without one.
        unlabelled: number of validation images left out because their label is unknown.
    """

    level: float
    method: str
    trainings: str
    unlabelled: int


@dataclass(frozen=True)
class Evaluation:
    """The results of all models."""

    models: tuple[ModelResult, ...]
    comparisons: tuple[Comparison, ...]
    winner: Winner
    settings: Settings

    def to_json(self) -> dict[str, Any]:
        """`models`, `comparisons`, `winner` and `evaluation` as plain values, see `plain`."""
        return {
            "models": plain(self.models),
            "comparisons": plain(self.comparisons),
            "winner": plain(self.winner),
            "evaluation": plain(self.settings),
        }


def plain(value: Any) -> Any:
    """Records, mappings, arrays and numbers as JSON values: floats to 6 decimals, NaN and infinities as None.

    A threshold is written in full: one of 0.0000004 is not 0.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, OperatingPoint) and math.isfinite(value.value):
            values["value"] = float(value.value)
        return values
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) + 0.0 if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
