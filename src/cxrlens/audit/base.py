"""What the audit says: findings, each with an interval, a verdict and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from cxrlens.evaluate.compare import holm

Verdict = Literal["flag", "clear", "undecided"]


@dataclass(frozen=True)
class Bar:
    """Where a number starts to speak of a shortcut; larger is worse.

    Attributes:
        null: what it is where there is no shortcut.
        margin: how far above that still does no harm: "clear" needs an interval that stays below it.
        family: findings of one family are corrected together (Holm 1979).
    """

    null: float
    margin: float
    family: str


AUC_BAR = Bar(0.5, 0.1, "tells the label")


@dataclass(frozen=True)
class Finding:
    """One result of one probe.

    Attributes:
        probe: its name.
        model: the model's; None where the finding is of the cohort.
        statistic: what the value is, in words.
        value: NaN where nothing could be measured; `reason` then says why.
        low: of the interval; NaN for a count, which is no sample.
        high: likewise.
        verdict: "clear" where a shortcut worth minding is excluded, "flag" where one is shown, else "undecided".
        limits: what it does not show.
        direction: how to read the value.
        sentence: the finding in plain words, with its numbers.
        p: two-sided, of the value's being the bar's null; NaN without a bar.
        p_holm: the same among the findings of its family.
        reason: why it is undecided, where that is not the interval's width.
        evidence: what to look at: numbers, names of images.
        bar: what settles the verdict; None where the probe has settled it.
    """

    probe: str
    model: str | None
    statistic: str
    value: float
    low: float
    high: float
    verdict: Verdict
    limits: str
    direction: str
    sentence: str
    p: float = np.nan
    p_holm: float = np.nan
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    bar: Bar | None = None


def refused(
    probe: str, model: str | None, statistic: str, reason: str, limits: str, direction: str = "", asked: bool = True
) -> Finding:
    """A finding of what could not be measured, or was not asked for lack of data: never silence, never a number."""
    return Finding(
        probe, model, statistic, np.nan, np.nan, np.nan, "undecided", limits, direction,
        f"Not {'measured' if asked else 'asked'}: {reason}.", reason=reason,
    )  # fmt: skip


def settle(findings: Sequence[Finding], level: float = 0.95) -> list[Finding]:
    """The verdicts of all findings that have a bar, corrected family by family.

    "clear": the interval stays below null + margin. "flag": not that, above the null, Holm's p not above 1 - level. An
    unknown interval settles nothing.

    Args:
        findings: of one audit.
        level: of the intervals.
    """
    adjusted = {}
    families = {each.bar.family for each in findings if each.bar}
    for family in sorted(families):
        rows = [row for row, each in enumerate(findings) if each.bar and each.bar.family == family]
        adjusted |= dict(zip(rows, holm([findings[row].p for row in rows]), strict=True))
    return [_settled(each, float(adjusted.get(row, np.nan)), level) for row, each in enumerate(findings)]


def _settled(finding: Finding, p_holm: float, level: float) -> Finding:
    bar = finding.bar
    if bar is None:
        return finding
    known = not np.isnan([finding.low, finding.high]).any()
    verdict = verdict_of(finding.value, finding.high, p_holm, bar, level) if known else "undecided"
    return replace(finding, p_holm=p_holm, verdict=verdict)


def verdict_of(value: float, high: float, p_holm: float, bar: Bar, level: float = 0.95) -> Verdict:
    """Clear where the interval stays below null + margin, however sure the number is; else flag where it is sure.

    >>> verdict_of(0.008, 0.015, 0.03, Bar(0.0, 0.05, "losses")), verdict_of(0.08, 0.12, 0.03, Bar(0.0, 0.05, "losses"))
    ('clear', 'flag')
    """
    if high < bar.null + bar.margin:
        return "clear"
    return "flag" if value > bar.null and p_holm < 1 - level + 1e-12 else "undecided"  # an unknown p is not
