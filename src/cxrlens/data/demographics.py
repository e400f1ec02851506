"""Reads patient, sex and age as tables write them. Cells that cannot be read count as unknown, with a warning."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from cxrlens.text import first_few

OLDEST = 120.0  # years
OPEN_FROM = 89.0  # years; older people are often written as one group, such as "90+" or ">89"

_NUMBER = r"(?P<number>\d+(?:\.\d*)?|\d+,\d{1,2})"
_UNIT = r"(?P<unit>y|yr|yrs|years?|y/?o|jahre?|a|mo|mos|mths?|months?|w|wks?|weeks?|d|days?)?"
_PLAIN = re.compile(rf"{_NUMBER}[\s-]*{_UNIT}\.?(?:[\s-]*old)?")
_DICOM = re.compile(r"(?P<number>\d{3})(?P<unit>[dwmy])")
_OPEN = re.compile(
    rf"(?:(?:>\s*=?|≥|over|above|older than)\s*{_NUMBER}\s*(?:y|yrs?|years?)?"
    r"|(?P<least>\d+)\s*(?:y|yrs?|years?)?\s*(?:\+|plus|(?:and|or|&)\s*(?:over|older|above|more)))"
)
_YEARS: Mapping[str, float] = {"m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_SEXES = {
    **dict.fromkeys(("m", "male", "man", "men", "boy", "männlich", "maennlich", "masculino", "homme", "hombre"), "M"),
    **dict.fromkeys(("f", "female", "woman", "women", "girl", "w", "weiblich", "femenino", "feminino", "femme"), "F"),
    **dict.fromkeys(("mujer",), "F"),
}
UNSTATED = frozenset(
    {"", "-", "--", "?", ".", "nan", "na", "n/a", "n.a.", "none", "null", "unknown", "not stated", "not available"}
)
NEITHER = frozenset({"o", "other", "u", "x", "d", "divers", "diverse"})
Value = TypeVar("Value")

PATIENTS = ("patient", "patientid", "patientno", "patientnumber", "pid", "subject", "subjectid", "mrn")
"""Usual names of columns with the patient, in lower case without punctuation."""

AGE_BANDS = {
    "under 18": (0, 18),
    "18 to 39": (18, 40),
    "40 to 59": (40, 60),
    "60 to 79": (60, 80),
    "80 and over": (80, math.inf),
}


def age_in_years(cell: str) -> float:
    """Reads an age in years; NaN where the cell holds none, an age over 120 or an ambiguous one.

    An age is a number with point or comma, with or without a unit, or a DICOM age string (three digits and a letter).
    People over 89 who are written as one group ("90+", ">89") are 90. "45M" is ambiguous: 45 months or a man of 45.

    >>> [age_in_years(cell) for cell in ("58", "058Y", "006M", "412", "")]
    [58.0, 58.0, 0.5, nan, nan]
    >>> [age_in_years(cell) for cell in ("45,5", "90+", ">89", "45M", "6 months", "65+")]
    [45.5, 90.0, 90.0, nan, 0.5, nan]
    """
    text = " ".join(cell.casefold().split())
    if match := _OPEN.fullmatch(text):
        least = float((match["number"] or match["least"]).replace(",", "."))
        return 90.0 if OPEN_FROM <= least <= 90 else math.nan
    match = _DICOM.fullmatch(text) or _PLAIN.fullmatch(text)
    if not match:
        return math.nan
    years = float(match["number"].replace(",", ".")) * _YEARS.get((match["unit"] or "y")[0], 1.0)
    return years if years <= OLDEST else math.nan


def sex_letter(cell: str) -> str | None:
    """Reads a sex as "M" or "F"; None where it is unknown.

    >>> [sex_letter(cell) for cell in ("M", "female", "O", "")]
    ['M', 'F', None, None]
    """
    return _SEXES.get(cell.strip().casefold())


def read_ages(cells: Sequence[str]) -> tuple[list[float], tuple[str, ...]]:
    """Ages in years of a column, from `age_in_years`, and a warning on filled cells that cannot be read.

    >>> read_ages(["45", "45M", "unknown"])[1]
    ("1 of 3 ages cannot be read and counts as unknown: '45M'",)
    """
    return _column(cells, age_in_years, "ages", UNSTATED)


def read_sexes(cells: Sequence[str]) -> tuple[list[str | None], tuple[str, ...]]:
    """Sexes of a column, from `sex_letter`, and a warning on filled cells that cannot be read.

    >>> read_sexes(["F", "1", "1", "O"])[1]
    ("2 of 4 sexes cannot be read and count as unknown: '1'",)
    """
    return _column(cells, sex_letter, "sexes", UNSTATED | NEITHER)


def read_patients(cells: Sequence[str]) -> tuple[list[str | None], tuple[str, ...]]:
    """Patient ids of a column (None where a cell states no patient), and a warning on cells such as "nan".

    >>> read_patients(["7", "nan", "", "nan"])
    (['7', None, None, None], ("2 of 4 patients are not stated and count as unknown: 'nan'",))
    """
    absent = [cell for cell in cells if cell.strip().casefold() in UNSTATED]
    filled = [cell for cell in absent if cell.strip()]
    values = [None if cell.strip().casefold() in UNSTATED else cell for cell in cells]
    if not filled:
        return values, ()
    examples = first_few([f"'{cell}'" for cell in dict.fromkeys(filled)], 5)
    are, count = ("is", "counts") if len(filled) == 1 else ("are", "count")
    return values, (f"{len(filled)} of {len(cells)} patients {are} not stated and {count} as unknown: {examples}",)


def read_columns(cells: Mapping[str, Sequence[str]]) -> tuple[dict[str, list[object]], list[str]]:
    """Reads the columns `patient`, `sex` and `age` of a cohort.

    Args:
        cells: name of a column → its cells, for the columns that the table has.

    Returns:
        Name of a column → its values, and warnings on cells that cannot be read.
    """
    columns: dict[str, list[object]] = {}
    warnings: list[str] = []
    for name, read in (("patient", read_patients), ("sex", read_sexes), ("age", read_ages)):
        if name in cells:
            values, unread = read(cells[name])
            columns[name] = [*values]
            warnings += unread
    return columns, warnings


def patient_columns(columns: Iterable[object]) -> list[str]:
    """The columns of a table whose name is a usual one for patient ids.

    >>> patient_columns(["image", "Patient ID", "mrn", "patients"])
    ['Patient ID', 'mrn']
    """
    return [name for name in map(str, columns) if re.sub(r"[\W_]", "", name).casefold() in PATIENTS]


def _column(
    cells: Sequence[str], read: Callable[[str], Value], plural: str, unstated: frozenset[str]
) -> tuple[list[Value], tuple[str, ...]]:
    parsed = {cell: read(cell) for cell in dict.fromkeys(cells)}
    unread = [cell for cell in cells if parsed[cell] != parsed[cell] or parsed[cell] is None]
    unread = [cell for cell in unread if cell.strip().casefold() not in unstated]
    values = [parsed[cell] for cell in cells]
    if not unread:
        return values, ()
    examples = first_few([f"'{cell}'" for cell in dict.fromkeys(unread)], 5)
    count = "counts" if len(unread) == 1 else "count"
    return values, (f"{len(unread)} of {len(cells)} {plural} cannot be read and {count} as unknown: {examples}",)


def age_band(years: float) -> str:
    """The band of an age in years, one of `AGE_BANDS` or "unknown".

    >>> [age_band(age) for age in (17.9, 18, 91, float("nan"))]
    ['under 18', '18 to 39', '80 and over', 'unknown']
    """
    return next((band for band, (low, high) in AGE_BANDS.items() if low <= years < high), "unknown")
