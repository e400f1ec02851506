"""What is said of the models, as frozen records and as plain values for `results.json`."""

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
        value: the threshold as a probability; of several networks, each with its own, the mean.
        rule: how it was chosen.
        sensitivity: of the positives; `_low` and `_high` by patients, `_wilson_low` and `_wilson_high` by images.
        specificity: of the negatives, likewise.
        reason: why there is none, else "".
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
    """The AUC of one seed's networks."""

    seed: int
    auc: float


@dataclass(frozen=True)
class ModelResult:
    """A row of Table 1.

    `auc_low` and `auc_high` are by patients, `auc_train_low` and `auc_train_high` over patients and trainings (NaN with
    fewer than 3 trainings); `rough` where a class has fewer than 10 patients, NaN with a `reason` where fewer than 5.
    `auc_seed_sd` is NaN for one seed.
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
    """How the intervals were made; `unlabelled` images could not be judged."""

    level: float
    method: str
    trainings: str
    unlabelled: int


@dataclass(frozen=True)
class Evaluation:
    """Everything that is said of the models."""

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
    """Records, tables, arrays and numbers as what JSON knows: floats to 6 decimals, NaN and infinities as None.

    A threshold is written in full: one of 0.0000004 is not 0.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, OperatingPoint) and math.isfinite(value.value):
            told["value"] = float(value.value)
        return told
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) + 0.0 if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
