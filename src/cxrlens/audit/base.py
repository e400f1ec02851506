"""What the audit says: findings, each with an interval, a verdict and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from cxrlens.evaluate.auc import difference_of, interval_of
from cxrlens.evaluate.comparisons import holm
from cxrlens.evaluate.influence import Influence, mean_influence, placements
from cxrlens.evaluate.records import plain
from cxrlens.text import fraction, joined

# An AUC as the audit needs it: with its interval over patients, each patient's influence, and p of chance.


@dataclass(frozen=True)
class IntervalOptions:
    """How intervals are made: their level, and, where no formula is known, the draws of patients and their seed."""

    level: float = 0.95
    draws: int = 2000
    seed: int = 0


JUDGING = IntervalOptions()


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; `p` is of its being at its null. NaN with a `reason` where patients are too few.

    Attributes:
        value: the number.
        low: of the interval over patients.
        high: likewise.
        p: two-sided.
        influence: what each patient adds to an AUC; None of what is no AUC.
        reason: why there is no interval, else "".
        rough: whether a class has fewer than 10 patients.
    """

    value: float
    low: float
    high: float
    p: float
    influence: Influence | None = None
    reason: str = ""
    rough: bool = False


def auc_estimate(
    logits: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    judging: IntervalOptions,
    rows: np.ndarray | None = None,
    part: np.ndarray | None = None,
) -> Estimate:
    """An AUC with its interval over patients, and p of 0.5.

    Args:
        logits: finite, [m].
        labels: bool [n].
        patients: [n].
        judging: of the interval.
        rows: positions of the scored images, [m]; all where none are given.
        part: fold of each scored image, [m]; pairs are formed within a fold, whose scores alone are comparable.
    """
    kept = np.arange(len(labels)) if rows is None else np.asarray(rows)
    names, who = np.unique(np.asarray(patients).astype(str)[kept], return_inverse=True)
    label, score = np.asarray(labels, bool)[kept], np.asarray(logits, float)
    return _estimate(placements(label, score, who, len(names), part), judging.level)


def mean_estimate(found: Sequence[Estimate], level: float) -> Estimate:
    """The mean of AUCs of the same patients, and p of 0.5."""
    of = [each.influence for each in found if each.influence is not None]
    return _estimate(replace(mean_influence(of), trainings=()), level)


def change(before: Estimate, after: Estimate, level: float = 0.95) -> Estimate:
    """An AUC before minus one after, of the same patients; p of 0."""
    assert before.influence is not None and after.influence is not None, "both are AUCs"
    found = difference_of(before.influence, after.influence, level)
    rough = before.rough or after.rough
    return Estimate(found.difference, found.low, found.high, found.p, None, found.reason, rough)


def _estimate(one: Influence, level: float) -> Estimate:
    found = interval_of(one, None, level)
    return Estimate(found.auc, found.low, found.high, found.p, one, found.reason, found.rough)


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
class AuditResult:
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
) -> AuditResult:
    """A finding of what could not be measured, or was not asked for lack of data: never silence, never a number."""
    return AuditResult(
        probe, model, statistic, np.nan, np.nan, np.nan, "undecided", limits, direction,
        f"Not {'measured' if asked else 'asked'}: {reason}.", reason=reason,
    )  # fmt: skip


def settle(findings: Sequence[AuditResult], level: float = 0.95) -> list[AuditResult]:
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


def _settled(finding: AuditResult, p_holm: float, level: float) -> AuditResult:
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


# Findings as plain values, for JSON, and back.

NUMBERS = ("value", "low", "high", "p", "p_holm")


def plain_result(finding: AuditResult) -> dict[str, Any]:
    """Every field under its name; floats to 6 decimals, unknown numbers None, the bar as its numbers or None."""
    return plain(finding)


def restored(record: dict[str, Any]) -> AuditResult:
    """The finding of a record of `plain_result`.

    Raises:
        TypeError: the record is of another version: a field is missing or unknown.
    """
    if record.keys() != {field.name for field in fields(AuditResult)}:
        raise TypeError(f"a finding's record is of another version; its fields are {', '.join(record)}")
    told = dict(record)
    for name in NUMBERS:
        told[name] = np.nan if told[name] is None else float(told[name])
    told["bar"] = Bar(**told["bar"]) if told["bar"] else None
    return AuditResult(**told)


# Numbers and lists as a sentence says them.

COLUMN_NAMES = {"license": "licence"}


def interval(estimate: Estimate, level: float) -> str:
    """A number with its interval.

    >>> interval(Estimate(0.8, 0.7, 0.9, 0.1), 0.95)
    '0.80 (95% interval 0.70 to 0.90)'
    """
    if estimate.reason:
        return f"{fraction(estimate.value)} (no interval: {estimate.reason})"
    rough, low, high = "rough " if estimate.rough else "", fraction(estimate.low), fraction(estimate.high)
    return f"{fraction(estimate.value)} ({level:.0%} {rough}interval {low} to {high})"


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
    return joined([COLUMN_NAMES.get(name, name) for name in names])
