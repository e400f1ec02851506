"""Findings to classes: positive, negative or left out, as the study chooses, checked against the table."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from cxrlens.errors import UserError

Negative = Literal["rest"] | tuple[str, ...]


def check_occur(options: Mapping[str, Iterable[str]], known: Collection[str], where: str) -> None:
    """Refuses names that never occur, and a name under two options.

    Args:
        options: option → the names it holds.
        known: the names that occur.
        where: the table, in words.

    Raises:
        UserError: with the nearest names that occur.
    """
    seen: dict[str, str] = {}
    for option, names in options.items():
        for name in names:
            if name not in known:
                folded = {other.casefold(): other for other in sorted(known)}
                near = [folded[hit] for hit in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
                hint = (
                    f"nearest: {', '.join(map(repr, near))}"
                    if near
                    else f"it has: {', '.join(map(repr, sorted(known)))}"
                )
                raise UserError(f"{option}: '{name}' never occurs in {where}; {hint}")
            if seen.setdefault(name, option) != option:
                raise UserError(f"'{name}' is under both {seen[name]} and {option}; keep one")


def label_of(
    findings: Collection[str],
    positive: Collection[str],
    negative: Negative,
    left_out: Collection[str] = (),
    column: str = "finding",
) -> tuple[float, str]:
    """An image's label, or the reason why the study leaves it out.

    Args:
        findings: of the image: one, or several (positive if any is); empty means unknown.
        positive: findings of the positive class.
        negative: findings of the negative class, or "rest" for all others.
        left_out: findings left out.
        column: what the reason calls a finding.

    Returns:
        1.0, 0.0 or NaN (unknown), and "" or the reason.

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
