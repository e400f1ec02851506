"""The same numbers by sex, age group, view and source; a group too small stays, with counts and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrlens.data.demographics import AGE_BANDS, age_band
from cxrlens.evaluate.auc import interval_of
from cxrlens.evaluate.networks import Network, Validation, model_influence, networks_without_auc, rates, within

ATTRIBUTES = ("sex", "age", "view", "source")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Subgroup:
    """One group of the validation images; values are NaN where `reason` says why; `rough`: of 5 to 9 patients."""

    by: str
    group: str
    images: int
    patients: int
    positive: int
    negative: int
    auc: float
    auc_low: float
    auc_high: float
    sensitivity: float
    sensitivity_low: float
    sensitivity_high: float
    specificity: float
    specificity_low: float
    specificity_high: float
    rough: bool = False
    reason: str = ""


def groups(images: Sequence[str], cohort: pd.DataFrame) -> dict[str, np.ndarray]:
    """Attribute → the group of each image, [n]; an attribute that is unknown throughout has no entry."""
    table = cohort.drop_duplicates("image").set_index("image").reindex(list(images))
    found = {}
    for name in ATTRIBUTES:
        if name not in table or table[name].isna().all():
            continue
        column = table[name].map(age_band) if name == "age" else table[name]
        found[name] = np.array([UNKNOWN if pd.isna(value) else str(value) for value in column], dtype=object)
    return found


def subgroups(
    networks: Sequence[Network], data: Validation, of: dict[str, np.ndarray], level: float = 0.95
) -> tuple[Subgroup, ...]:
    """One row a group, in the order of `of` and then by age or by name, the unknown last."""
    rows = []
    for by, group in of.items():
        known = AGE_BANDS if by == "age" else sorted(set(group) - {UNKNOWN})
        for name in (each for each in (*known, UNKNOWN) if each in group):
            rows.append(_row(by, name, group == name, networks, data, level))
    return tuple(rows)


def _row(
    by: str,
    name: str,
    inside: np.ndarray,
    networks: Sequence[Network],
    data: Validation,
    level: float,
) -> Subgroup:
    part = within(networks, inside)
    positive = int(data.labels[inside].sum())
    reason = networks_without_auc(part, data.labels)
    value, low, high, rough = np.nan, np.nan, np.nan, False
    if not reason:
        found = interval_of(model_influence(part, data), data.labels[inside], level)
        value, low, high, rough, reason = found.auc, found.low, found.high, found.rough, found.reason
    sensitivity, specificity = rates(part, data, level)
    return Subgroup(
        by,
        name,
        int(inside.sum()),
        len(np.unique(data.patients[inside])),
        positive,
        int(inside.sum()) - positive,
        value,
        low,
        high,
        sensitivity.value,
        sensitivity.low,
        sensitivity.high,
        specificity.value,
        specificity.low,
        specificity.high,
        rough,
        reason,
    )
