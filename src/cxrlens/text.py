"""Text of numbers, counts and lists, for tables, figures, sentences and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

_SINGULAR = {"are": "is", "were": "was", "have": "has", "do": "does"}


def number(value: float | None, digits: int = 2) -> str:
    """A value as text; an unknown value is a dash.

    >>> number(0.8163, 3), number(None)
    ('0.816', '–')
    """
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def fraction(value: float) -> str:
    """A number between 0 and 1 in two decimals. Three where two would say 0 or 1 of a number that is neither.

    >>> fraction(0.853), fraction(0.997), fraction(0.9999), fraction(1.0)
    ('0.85', '0.997', 'over 0.999', '1.00')
    """
    if f"{value:.2f}" not in ("0.00", "1.00") or value in (0, 1):
        return f"{value:.2f}"
    if f"{value:.3f}" in ("0.000", "1.000"):
        return "under 0.001" if value < 0.5 else "over 0.999"
    return f"{value:.3f}"


def probability(value: float | None) -> str:
    """A network's probability in three decimals; where these would say 0 or 1, two digits of the difference from it.

    >>> probability(0.25), probability(3.85e-07), probability(1 - 2.0**-40), probability(None)
    ('0.250', '3.9e-07', '1 − 9.1e-13', '–')
    """
    if value is None or f"{value:.3f}" not in ("0.000", "1.000") or value in (0, 1):
        return number(value, 3)
    return f"{value:.1e}" if value < 0.5 else f"1 − {1 - value:.1e}"


def near_one_note(values: Iterable[float | None]) -> str:
    """What the text of a probability close to 1 stands for, with the first such value as the example; "" without one.

    Args:
        values: probabilities that `probability` has written; None and NaN are unknown.

    >>> near_one_note([0.25, 1 - 5.6e-10]), near_one_note([0.25, None])
    ('1 − 5.6e-10 stands for 0.99999999944: a P so close to 1 is written as its distance from 1.', '')
    """
    for text in map(probability, values):
        if text.startswith("1 − "):
            decimals = 1 - Decimal(text.removeprefix("1 − "))
            return f"{text} stands for {decimals:f}: a P so close to 1 is written as its distance from 1."
    return ""


def p_value(value: float | None) -> str:
    """The p of a test in three decimals.

    >>> p_value(0.0123), p_value(0.0004), p_value(None)
    ('0.012', '<0.001', '–')
    """
    return "<0.001" if value is not None and value < 0.001 else number(value, 3)


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """An interval in brackets; an unknown interval is a dash.

    >>> interval(0.5312, 0.7911), interval(None, None)
    ('[0.53, 0.79]', '–')
    """
    return "–" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"


def many(count: int, noun: str, verb: str = "") -> str:
    """A count with its noun, and with a verb that agrees with it.

    Args:
        count: number of things.
        noun: the noun in the singular; its plural ends in "s".
        verb: the verb in the plural.

    >>> many(1, "row"), many(2, "row"), many(1, "row", "name"), many(1, "row", "are"), many(2, "row", "are")
    ('1 row', '2 rows', '1 row names', '1 row is', '2 rows are')
    """
    if count != 1:
        return f"{count} {noun}s" + (f" {verb}" if verb else "")
    return f"1 {noun}" + (f" {_SINGULAR.get(verb, f'{verb}s')}" if verb else "")


def first_few(items: Sequence[str], most: int, where: str = "") -> str:
    """The first items, the number of the others, and where to find those.

    >>> first_few(["a", "b"], 2), first_few(["a", "b"], 1), first_few(["a", "b"], 1, "; --json has them all")
    ('a, b', 'a and 1 more', 'a and 1 more; --json has them all')
    """
    more = f" and {len(items) - most} more{where}" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def joined(items: Sequence[str]) -> str:
    """Items as a sentence lists them.

    >>> joined(["view"]), joined(["view", "age", "sex"])
    ('view', 'view, age and sex')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
