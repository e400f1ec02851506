"""AUC, sensitivity and specificity by sex, age group, view and source; a group that is too small has a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrlens.data.demographics import AGE_BANDS, age_band
from cxrlens.evaluate.auc import interval_of
from cxrlens.evaluate.networks import Network, Validation, model_influence, networks_no_auc_reason, rates, restricted

ATTRIBUTES = ("sex", "age", "view", "source")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Subgroup:
    """One group of the validation images.

    Values are NaN where `reason` says why. `rough` marks the interval of an AUC on 5 to 9 patients of a class.
    """

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
    """Attribute → group of each image, [n]; an attribute that is unknown for all images has no entry."""
    table = cohort.drop_duplicates("image").set_index("image").reindex(list(images))
    of_attribute = {}
    for name in ATTRIBUTES:
        if name not in table or table[name].isna().all():
            continue
        column = table[name].map(age_band) if name == "age" else table[name]
        of_attribute[name] = np.array([UNKNOWN if pd.isna(value) else str(value) for value in column], dtype=object)
    return of_attribute


def subgroups(
    networks: Sequence[Network], data: Validation, attributes: dict[str, np.ndarray], level: float = 0.95
) -> tuple[Subgroup, ...]:
    """One row for each group, in the order of `attributes` and then by age or by name, the unknown last.

    Args:
        networks: networks of one model.
        data: validation images.
        attributes: attribute → group of each image, see `groups`.
        level: confidence level of the intervals, between 0 and 1.
    """
    rows = []
    for attribute, group in attributes.items():
        known = AGE_BANDS if attribute == "age" else sorted(set(group) - {UNKNOWN})
        for name in (*known, UNKNOWN):
            if name in group:
                rows.append(_row(attribute, name, group == name, networks, data, level))
    return tuple(rows)


def _row(
    attribute: str,
    name: str,
    in_group: np.ndarray,
    networks: Sequence[Network],
    data: Validation,
    level: float,
) -> Subgroup:
    of_group = restricted(networks, in_group)
    positive = int(data.labels[in_group].sum())
    reason = networks_no_auc_reason(of_group, data.labels)
    value, low, high, rough = np.nan, np.nan, np.nan, False
    if not reason:
        estimate = interval_of(model_influence(of_group, data), data.labels[in_group], level)
        value, low, high, rough = estimate.auc, estimate.low, estimate.high, estimate.rough
        reason = estimate.reason
    sensitivity, specificity = rates(of_group, data, level)
    return Subgroup(
        attribute,
        name,
        int(in_group.sum()),
        len(np.unique(data.patients[in_group])),
        positive,
        int(in_group.sum()) - positive,
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
