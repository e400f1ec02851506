"""Cohorts made by hand, as the probes before training are given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cxrlens.audit.case import CohortCase
from cxrlens.data.cohort import cohort_table
from cxrlens.data.duplicates import Duplicates, Pair, merge_groups
from cxrlens.data.split import Split


def cohort_case(
    label: Sequence[float] | np.ndarray,
    patients: Sequence[str] | None = None,
    validation: Sequence[Sequence[int]] = (),
    groups: Mapping[str, str] | None = None,
    pairs: Sequence[Pair] = (),
    not_compared: int = 0,
    facts: Mapping[str, object] | None = None,
    histogram: np.ndarray | None = None,
    **columns: object,
) -> CohortCase:
    """Images 0.png, 1.png, ... of one patient each unless said otherwise; `validation` holds the rows of each fold."""
    names = [f"{row}.png" for row in range(len(label))]
    patients = patients or [f"p{row}" for row in range(len(label))]
    table = cohort_table(pd.DataFrame({"image": names, "patient": patients, "label": label, **columns}))
    file_facts = {"width": 100, "height": 100, "bytes": 1000, "mode": "L", "format": "PNG", **(facts or {})}
    splits = []
    for fold, rows in enumerate(validation):
        inside = tuple(name for row, name in enumerate(names) if row not in rows)
        outside = tuple(name for row, name in enumerate(names) if row in rows)
        splits.append(Split("patient-kfold", fold, inside, outside, inside, outside))
    joining = [pair for pair in pairs if set(pair.patients) <= set(table["patient"])]  # others are of a made-up patient
    return CohortCase(
        table=table,
        facts=pd.DataFrame({"image": names, **file_facts}),
        splits=tuple(splits),
        groups=groups or {},
        duplicates=Duplicates(tuple(pairs), len(pairs) + not_compared, len(pairs), merge_groups(table, joining)),
        histogram=np.full((len(label), 16), 1 / 16) if histogram is None else histogram,
    )


def by_patient(patients: int, images: int, share: float, seed: int) -> tuple[np.ndarray, list[str]]:
    """Labels drawn once a patient, and each image's patient: what is told here is told by chance."""
    drawn = np.random.default_rng(seed).permutation(np.arange(patients) < share * patients)
    return np.repeat(drawn, images).astype(float), [f"p{number // images}" for number in range(patients * images)]
