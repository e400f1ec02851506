"""A cohort's labelled images, and what is known of them as numbers that a classifier can take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxrlens.audit.case import CohortCase
from cxrlens.audit.words import listing
from cxrlens.data.cohort import known_patients
from cxrlens.data.leaks import patients_warning


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a known label.

    Attributes:
        table: the cohort's rows of these, [n].
        labels: bool [n].
        patients: of each, merged ids as one, [n].
    """

    table: pd.DataFrame
    labels: np.ndarray
    patients: np.ndarray


def labelled(case: CohortCase, images: Sequence[str] | None = None) -> Labelled:
    """The images whose label is known, in the table's order, or in that of `images` where only those are wanted."""
    table = case.table
    if images is not None:
        table = table.set_index("image", drop=False).loc[list(images)]
    table = table[table["label"].notna()].reset_index(drop=True)
    patients = [case.groups.get(patient, patient) for patient in table["patient"]]
    return Labelled(table, table["label"].to_numpy(float) == 1, np.array(patients, dtype=str))


def limits(case: CohortCase, own: str) -> str:
    """A probe's own limits, and those of folds and intervals by patient."""
    told = f"{own}; the interval takes the classifiers as fitted, so it is a little narrow"
    warning = patients_warning(case.table)
    return f"{told}; {warning}" if warning else told


def unseen(case: CohortCase) -> str:
    """Whom the classifier has not seen: "patients", or "images" where no patient is known."""
    return "patients" if known_patients(case.table).any() else "images"


def without_columns(names: Sequence[str], values: Mapping[str, Sequence[str]]) -> str:
    """The reason why columns are not asked, where no image has a value in any of them; '' where one has.

    >>> without_columns(["view", "age"], {"view": ["", ""], "age": ["", ""]})
    'the study has no view or age'
    >>> without_columns(["view", "age"], {"view": ["PA", ""], "age": ["", ""]})
    ''
    """
    if any(any(values[name]) for name in names):
        return ""
    return f"the study has no {' or '.join(listing(names).rsplit(' and ', 1))}"


def one_hot(values: Sequence[str]) -> np.ndarray:
    """A column for each value that at least two images have, and not all; unknown ('') is a value: float [n, d]."""
    names, counts = np.unique(np.array(values, dtype=str), return_counts=True)
    kept = names[(counts >= 2) & (counts < len(values))]
    return (np.array(values, dtype=str)[:, None] == kept).astype(float)


def numbers(values: np.ndarray) -> np.ndarray:
    """The number (the median where unknown) and whether it is unknown, [n] → [n, d]; constant columns are left out."""
    unknown = np.isnan(values)
    if unknown.all():
        return np.empty((len(values), 0))
    both = np.stack([np.where(unknown, np.median(values[~unknown]), values), unknown.astype(float)], axis=1)
    return both[:, np.ptp(both, axis=0) > 0]
