"""Numbers and lists as a sentence says them."""

from __future__ import annotations

from collections.abc import Sequence

from cxrlens.audit.estimate import Estimate

COLUMN_NAMES = {"license": "licence"}


def number(value: float) -> str:
    """Two decimals, or three where two would say 0 or 1 of what is not; never 0 or 1 of what is not.

    >>> number(0.853), number(0.997), number(0.9999), number(1.0)
    ('0.85', '0.997', 'over 0.999', '1.00')
    """
    if f"{value:.2f}" not in ("0.00", "1.00") or value in (0, 1):
        return f"{value:.2f}"
    if f"{value:.3f}" in ("0.000", "1.000"):
        return "under 0.001" if value < 0.5 else "over 0.999"
    return f"{value:.3f}"


def interval(estimate: Estimate, level: float) -> str:
    """A number with its interval.

    >>> interval(Estimate(0.8, 0.7, 0.9, 0.1), 0.95)
    '0.80 (95% interval 0.70 to 0.90)'
    """
    if estimate.reason:
        return f"{number(estimate.value)} (no interval: {estimate.reason})"
    rough = "rough " if estimate.rough else ""
    return f"{number(estimate.value)} ({level:.0%} {rough}interval {number(estimate.low)} to {number(estimate.high)})"


def ends(estimate: Estimate, digits: int = 3) -> str:
    """An interval in brackets; where there is none, why.

    >>> ends(Estimate(0.8, 0.7, 0.9, 0.1, rough=True))
    '[0.700, 0.900] (rough: few patients)'
    """
    if estimate.reason:
        return f"[no interval: {estimate.reason}]"
    said = f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return said + (" (rough: few patients)" if estimate.rough else "")


def listing(names: Sequence[str]) -> str:
    """Names as a sentence lists them.

    >>> listing(["view"]), listing(["view", "age", "license"])
    ('view', 'view, age and licence')
    """
    told = [COLUMN_NAMES.get(name, name) for name in names]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
