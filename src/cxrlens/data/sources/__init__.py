"""Data sources, one file each. A source holds its options; `cohort(data_dir)` lists its images."""

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
        raise ValueError(r"needs a group in parentheses that matches the patient, such as 'person(\d+)_'")
    return pattern


PatientPattern = Annotated[str, AfterValidator(_patient_pattern)]
"""A regular expression; its first group that takes part in a match is the patient."""


def pattern_patient(pattern: str, texts: Iterable[str]) -> str | None:
    r"""The patient that a pattern finds in the first text that it matches; None where it matches none.

    Args:
        pattern: regular expression, see `PatientPattern`.
        texts: texts to search in turn, such as the file name and the path.

    >>> pattern_patient(r"person(\d+)_|(IM-\d+)", ["IM-0007.png"]), pattern_patient(r"(P\d+)/", ["a.png", "P1/a.png"])
    ('IM-0007', 'P1')
    """
    for text in texts:
        match = re.search(pattern, text)
        if match and (group := next((group for group in match.groups() if group), None)):
            return group
    return None


def pattern_warning(pattern: str, patients: Sequence[str | None], names: str) -> tuple[str, ...]:
    """The warning on images whose patient a pattern does not find; empty where it finds all.

    Args:
        pattern: `patient_pattern` of the study.
        patients: patient of each image; None where the pattern does not match.
        names: description of the searched texts with their first one, for the error.

    Raises:
        UserError: the pattern matches no image.
    """
    if patients and not any(patients):
        raise UserError(f"patient_pattern '{pattern}' matches no {names}")
    unmatched = sum(patient is None for patient in patients)
    if not unmatched:
        return ()
    return (f"patient_pattern '{pattern}' does not fit {unmatched} of {len(patients)} names: each is its own patient",)


def excluded_by(patterns: Iterable[str], path: str) -> str | None:
    """The first glob pattern that matches a path below the data folder; None where none does. `*` also matches "/".

    >>> [excluded_by(["*/masks/*"], path) for path in ("COVID/masks/1.png", "masks/1.png", "COVID/images/1.png")]
    ['*/masks/*', '*/masks/*', None]
    """
    below = path.replace("\\", "/").removeprefix("./")
    matching = (
        pattern
        for pattern in patterns
        if fnmatch.fnmatchcase(below, pattern) or fnmatch.fnmatchcase(f"/{below}", pattern)
    )
    return next(matching, None)


def exclude_notes(patterns: Sequence[str], used: Iterable[str | None]) -> tuple[str, ...]:
    """A note on each pattern of `exclude` that matches no file.

    Args:
        patterns: glob patterns of `exclude`.
        used: pattern that excludes each file; None where none does.
    """
    matched = set(used)
    return tuple(f"exclude pattern '{pattern}' matched no file" for pattern in patterns if pattern not in matched)


class Source(Config, ABC):
    """A data set; its fields are the keys of the study file's `[data]` (beside `source = NAME`).

    Attributes:
        most_missing: largest share of listed images without a readable file; above it a run refuses to train.
    """

    most_missing: float = Field(default=0.5, ge=0, le=1)

    @property
    def needs_data_dir(self) -> bool:
        """Whether the source needs a data folder (`--data PATH`)."""
        return True

    def lungs(self, path: str) -> np.ndarray | None:
        """The lung fields of an image, bool [height, width]; None where the source does not know them.

        Args:
            path: cell of the cohort's column `path`.
        """
        return None

    @abstractmethod
    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images below a data folder, in the order of the source's own table.

        Args:
            data_dir: data folder; None where the user gives none.

        Raises:
            UserError: the folder or its table is absent or does not have the layout of this source; the message states
                the expected layout, and the line of a fault in a table.
        """


SOURCES: Registry[type[Source]] = Registry("data source", package="cxrlens.data.sources")
