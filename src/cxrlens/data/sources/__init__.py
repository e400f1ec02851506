"""One file = one data set. A source is its options; `cohort(root)` lists its images."""

from __future__ import annotations

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from cxrlens.config import Config
from cxrlens.data.cohort import Cohort
from cxrlens.errors import UserError
from cxrlens.registry import Registry


def _patient_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if not groups:
        raise ValueError(r"needs a group (in parentheses) that is the patient, such as 'person(\d+)_'")
    return pattern


PatientPattern = Annotated[str, AfterValidator(_patient_pattern)]
"""A regular expression whose first group that takes part is the patient."""


def pattern_patient(pattern: str, places: Iterable[str]) -> str | None:
    r"""The patient that a pattern finds in the first of some texts that it fits; None where it fits none.

    >>> pattern_patient(r"person(\d+)_|(IM-\d+)", ["IM-0007.png"]), pattern_patient(r"(P\d+)/", ["a.png", "P1/a.png"])
    ('IM-0007', 'P1')
    """
    for place in places:
        match = re.search(pattern, place)
        if match and (group := next((group for group in match.groups() if group), None)):
            return group
    return None


def pattern_warning(pattern: str, patients: Sequence[str | None], names: str) -> tuple[str, ...]:
    """The sentence on images that a pattern for the patient does not fit, where there are any.

    Args:
        pattern: the study's.
        patients: whom it finds, one an image.
        names: what it is searched in and the first of these, for the error.

    Raises:
        UserError: it fits no image at all.
    """
    if patients and not any(patients):
        raise UserError(f"patient_pattern '{pattern}' fits no {names}")
    unfit = sum(patient is None for patient in patients)
    if not unfit:
        return ()
    return (f"patient_pattern '{pattern}' does not fit {unfit} of {len(patients)} names: each is its own patient",)


def excluded_by(patterns: Iterable[str], path: str) -> str | None:
    """The first glob pattern that fits a path below the data folder; `*` goes across folders.

    >>> [excluded_by(["*/masks/*"], path) for path in ("COVID/masks/1.png", "masks/1.png", "COVID/images/1.png")]
    ['*/masks/*', '*/masks/*', None]
    """
    below = path.replace("\\", "/").removeprefix("./")
    fits = (
        pattern
        for pattern in patterns
        if fnmatch.fnmatchcase(below, pattern) or fnmatch.fnmatchcase(f"/{below}", pattern)
    )
    return next(fits, None)


def exclude_notes(patterns: Sequence[str], used: Iterable[str | None]) -> tuple[str, ...]:
    """A sentence on each pattern of `exclude` that matched no file."""
    known = set(used)
    return tuple(f"exclude pattern '{pattern}' matched no file" for pattern in patterns if pattern not in known)


class Source(Config, ABC):
    """A data set: the fields are what the study file's `[data]` may say (beside `source = NAME`).

    Attributes:
        most_missing: share of the listed images that may be without a readable file before a run refuses to train.
    """

    most_missing: float = Field(default=0.5, ge=0, le=1)

    @property
    def needs_data_dir(self) -> bool:
        """Whether `--data PATH` must be given."""
        return True

    def lungs(self, path: str) -> np.ndarray | None:
        """The lung fields of the image that a cell of `path` names, bool [height, width]; None where unknown."""
        return None

    @abstractmethod
    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images under `data_dir`, in the order of the source's own table.

        Raises:
            UserError: the folder or its table is absent or is not this source's layout; the message says what was
                looked for, with line numbers for faults in a table.
        """


SOURCES: Registry[type[Source]] = Registry("data source", package="cxrlens.data.sources")
