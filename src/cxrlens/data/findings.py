"""Maps findings to the classes of a study (positive, negative or left out), checked against the table."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator

from cxrlens.errors import UserError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)


def as_texts(values: object) -> object:
    """Turns the items of a list into text, for options whose values a study file may write as numbers."""
    return [str(value) for value in values] if isinstance(values, list | tuple) else values


Negative = Literal["rest"] | tuple[str, ...]
Written = tuple[str | float | bool, ...]  # values as a study file may write them
Values = Annotated[tuple[str, ...], BeforeValidator(as_texts, json_schema_input_type=Written)]


def check_occur(options: Mapping[str, Iterable[str]], known: Collection[str], where: str) -> None:
    """Checks that the names of options occur in a table, and that no name is under two options.

    Args:
        options: option → names that it lists.
        known: names that occur in the table.
        where: description of the table, for the message.

    Raises:
        UserError: a name does not occur (the message lists the nearest names that do), or is under two options.
    """
    option_of_name: dict[str, str] = {}
    for option, names in options.items():
        for name in names:
            if name not in known:
                folded = {other.casefold(): other for other in sorted(known)}
                near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
                hint = (
                    f"nearest: {', '.join(map(repr, near))}"
                    if near
                    else f"it has: {', '.join(map(repr, sorted(known)))}"
                )
                raise UserError(f"{option}: '{name}' never occurs in {where}; {hint}")
            if option_of_name.setdefault(name, option) != option:
                raise UserError(f"'{name}' is under both {option_of_name[name]} and {option}; keep one")


def label_of(
    findings: Collection[str],
    positive: Collection[str],
    negative: Negative,
    left_out: Collection[str] = (),
    column: str = "finding",
) -> tuple[float, str]:
    """The label of an image, or the reason why the study leaves it out.

    Args:
        findings: findings of the image; it is positive if any of them is, and unknown if there are none.
        positive: findings of the positive class.
        negative: findings of the negative class, or "rest" for all others.
        left_out: findings whose images are left out.
        column: name of the column of findings, for the reason.

    Returns:
        The label, 1.0, 0.0 or NaN (unknown), and the reason why the image is left out ("" where it is kept).

    >>> label_of(["SARS"], ["COVID-19"], "rest"), label_of(["todo"], ["COVID-19"], "rest", ["todo"])
    ((0.0, ''), (nan, 'finding todo'))
    """
    if not findings:
        return float("nan"), ""
    if any(name in positive for name in findings):
        return 1.0, ""
    unwanted = [name for name in findings if name in left_out]
    if not unwanted and (negative == "rest" or all(name in negative for name in findings)):
        return 0.0, ""
    return float("nan"), f"{column} {(unwanted or [name for name in findings if name not in negative])[0]}"


def option_of(options: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Inverts options: value → the option that lists it.

    Args:
        options: option → values that it lists.

    Raises:
        UserError: a value is under two options.
    """
    result: dict[str, str] = {}
    for option, values in options.items():
        for value in values:
            if result.setdefault(value, option) != option:
                raise UserError(f"the value '{value}' is under both {result[value]} and {option}; keep one")
    return result


def plain_value(value: str) -> str:
    """Normalises a value: case, outer spaces, unicode form and 1.0 for 1 do not matter; the digits of a code do.

    >>> plain_value(" Yes"), plain_value("+1.0"), plain_value("-0"), plain_value("840544004"), plain_value("1e3")
    ('yes', '1', '0', '840544004', '1e3')
    """
    text = unicodedata.normalize("NFC", value).strip().casefold()
    if not _NUMBER.fullmatch(text):
        return text
    sign, whole, part = text[:1].strip("+0123456789."), *text.lstrip("+-").partition(".")[::2]
    number = ".".join(filter(None, (whole.lstrip("0") or "0", part.rstrip("0"))))
    return number if number == "0" else sign + number
