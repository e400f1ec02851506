"""Age and sex as data sets write them → years and M / F; what cannot be is unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([YMWD]?)", re.IGNORECASE)
_YEARS: Mapping[str, float] = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}

AGE_BANDS = {
    "under 18": (0, 18),
    "18 to 39": (18, 40),
    "40 to 59": (40, 60),
    "60 to 79": (60, 80),
    "80 and over": (80, math.inf),
}


def age_in_years(cell: str) -> float:
    """A plain number or DICOM's age string in years; NaN where it is neither, or over 120.

    >>> [age_in_years(cell) for cell in ("58", "058Y", "006M", "412", "")]
    [58.0, 58.0, 0.5, nan, nan]
    """
    match = _AGE.fullmatch(cell.strip())
    years = float(match[1]) * _YEARS[match[2].upper()] if match else math.nan
    return years if years <= 120 else math.nan


def sex_letter(cell: str) -> str | None:
    """M or F, or None where unknown.

    >>> [sex_letter(cell) for cell in ("M", "female", "O", "")]
    ['M', 'F', None, None]
    """
    return {"m": "M", "male": "M", "f": "F", "female": "F"}.get(cell.strip().lower())


def age_band(years: float) -> str:
    """The band that an age in years falls in, for counting.

    >>> [age_band(age) for age in (17.9, 18, 91, float("nan"))]
    ['under 18', '18 to 39', '80 and over', 'unknown']
    """
    return next((band for band, (low, high) in AGE_BANDS.items() if low <= years < high), "unknown")
