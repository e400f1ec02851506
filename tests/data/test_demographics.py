"""Ages and sexes as tables write them: read, or counted aloud, never silently wrong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrlens.data.demographics import age_in_years, read_ages, read_sexes, sex_letter


@pytest.mark.parametrize(
    ("cell", "years"),
    [
        ("45,5", 45.5),
        ("45.5", 45.5),
        ("45Y", 45),
        ("045Y", 45),
        ("45 years", 45),
        ("45-year-old", 45),
        ("67 yrs.", 67),
        ("045M", 3.75),
        ("6 months", 0.5),
        ("6 mo", 0.5),
        ("73 days", 73 / 365.25),
        ("61.3725419", 61.3725419),
        ("95", 95),
    ],
)
def test_an_age_is_read_in_the_ways_it_is_written(cell: str, years: float) -> None:
    assert age_in_years(cell) == pytest.approx(years)
    assert read_ages([cell])[1] == ()


@pytest.mark.parametrize(
    "cell", ["90+", "90 +", ">89", "> 89", ">=90", "≥90", "90 and over", "90 or older", "over 89", ">89Y", "89+"]
)
def test_the_oldest_who_are_one_group_are_90(cell: str) -> None:
    assert age_in_years(cell) == 90


@pytest.mark.parametrize("cell", ["45M", "6m", "45 F", "65+", ">65", "40-49", "1,000", "45,125", "-5", "414", "adult"])
def test_what_is_no_age_for_sure_is_unknown_and_said(cell: str) -> None:
    assert math.isnan(age_in_years(cell))
    ages, warnings = read_ages(["50", cell, cell, ""])
    assert ages[0] == 50 and all(map(math.isnan, ages[1:]))
    assert warnings == (f"2 of 4 ages cannot be read and count as unknown: '{cell}'",)


def test_what_was_not_stated_is_not_said_again() -> None:
    assert read_ages(["", "NA", "unknown", "n/a", "NaN", "-"])[1] == ()
    assert read_sexes(["", "O", "Unknown", "U", "other"])[1] == ()


def test_codes_for_the_sexes_are_never_guessed() -> None:
    sexes, warnings = read_sexes(["M", "männlich", "W", "woman", "1", "2", "1"])
    assert sexes == ["M", "M", "F", "F", None, None, None]
    assert warnings == ("3 of 7 sexes cannot be read and count as unknown: '1', '2'",)


@given(st.text(max_size=12))
def test_whatever_a_cell_says_an_age_is_possible_or_unknown(cell: str) -> None:
    years = age_in_years(cell)
    assert math.isnan(years) or 0 <= years <= 120
    assert sex_letter(cell) in (None, "M", "F")
