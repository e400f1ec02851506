"""Results of the audit: a number with its interval, a verdict and what the number does not show.

A result is an `AuditResult`; "finding" is kept for radiological findings.
"""

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


@dataclass(frozen=True)
class IntervalOptions:
    """How intervals are made.

    Attributes:
        level: confidence level of the intervals, between 0 and 1.
        draws: number of bootstrap draws of patients, where no formula of the interval is known.
        seed: seed of the draws.
    """

    level: float = 0.95
    draws: int = 2000
    seed: int = 0


DEFAULT_INTERVALS = IntervalOptions()


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; the interval and `p` are NaN with a `reason` where there are too few patients.

    Attributes:
        value: the number.
        low: lower end of the interval over patients.
        high: upper end of the interval over patients.
        p: two-sided p-value of its null hypothesis.
        influence: each patient's influence on an AUC; None where the number is not an AUC.
        reason: why there is no interval, else "".
        rough: whether the interval is rough because a class has fewer than 10 patients.
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
    intervals: IntervalOptions,
    rows: np.ndarray | None = None,
    strata: np.ndarray | None = None,
) -> Estimate:
    """An AUC with its interval over patients, and the p-value of the null that it is 0.5.

    Args:
        logits: score of each scored image, finite, [m].
        labels: whether each image is positive, bool [n].
        patients: patient of each image, [n].
        intervals: how the interval is made.
        rows: positions of the scored images, int [m]; all images by default.
        strata: fold or group of each scored image, [m]; pairs are formed within a stratum only.
    """
    scored = np.arange(len(labels)) if rows is None else np.asarray(rows)
    names, patient_numbers = np.unique(np.asarray(patients).astype(str)[scored], return_inverse=True)
    label, score = np.asarray(labels, bool)[scored], np.asarray(logits, float)
    return _estimate(placements(label, score, patient_numbers, len(names), strata), intervals.level)


def mean_estimate(estimates: Sequence[Estimate], level: float) -> Estimate:
    """The mean of AUCs of the same patients, and the p-value of the null that it is 0.5."""
    influences = [estimate.influence for estimate in estimates if estimate.influence is not None]
    return _estimate(replace(mean_influence(influences), trainings=()), level)


def change(before: Estimate, after: Estimate, level: float = 0.95) -> Estimate:
    """An AUC before minus an AUC after, of the same patients, and the p-value of no change."""
    assert before.influence is not None and after.influence is not None, "both estimates must be AUCs"
    difference = difference_of(before.influence, after.influence, level)
    rough = before.rough or after.rough
    return Estimate(
        difference.difference, difference.low, difference.high, difference.p, None, difference.reason, rough
    )


def _estimate(influence: Influence, level: float) -> Estimate:
    result = interval_of(influence, None, level)
    return Estimate(result.auc, result.low, result.high, result.p, influence, result.reason, result.rough)


Verdict = Literal["flag", "clear", "undecided"]


@dataclass(frozen=True)
class Bar:
    """From which value on a number shows a shortcut; larger is worse.

    Attributes:
        null: value where there is no shortcut.
        margin: how far above the null a value is still harmless; "clear" needs an interval below null + margin.
        family: name of the results whose p-values are corrected together (Holm 1979).
    """

    null: float
    margin: float
    family: str


AUC_BAR = Bar(0.5, 0.1, "tells the label")


@dataclass(frozen=True)
class AuditResult:
    """One result of one probe.

    Attributes:
        probe: name of the probe.
        model: name of the model; None where the result is of the cohort.
        statistic: what the value is, in words.
        value: measured value; NaN where it could not be measured, for the `reason` given.
        low: lower end of the interval; NaN for a count, which is no sample.
        high: upper end of the interval; NaN for a count, which is no sample.
        verdict: "flag" where a shortcut is shown, "clear" where a shortcut of any importance is excluded, else
            "undecided".
        limits: what the result does not show.
        direction: how to read the value.
        sentence: the result in plain words, with its numbers.
        p: two-sided p-value of the bar's null; NaN without a bar.
        p_holm: `p` after Holm's correction over the results of its family.
        reason: why the verdict is undecided, where the width of the interval is not the reason.
        evidence: numbers and names of images behind the result.
        bar: bar that decides the verdict; None where the probe has decided it.
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
    probe: str,
    model: str | None,
    statistic: str,
    reason: str,
    limits: str,
    direction: str = "",
    applicable: bool = True,
) -> AuditResult:
    """A result without a value, since a failed measurement must neither be silent nor give a number.

    Args:
        probe: name of the probe.
        model: name of the model; None where the result is of the cohort.
        statistic: what would have been measured, in words.
        reason: why it was not measured.
        limits: what the result would not show.
        direction: how to read the value.
        applicable: whether the study has the data that the probe is about.
    """
    return AuditResult(
        probe, model, statistic, np.nan, np.nan, np.nan, "undecided", limits, direction,
        f"Not {'measured' if applicable else 'applicable'}: {reason}.", reason=reason,
    )  # fmt: skip


def settle(results: Sequence[AuditResult], level: float = 0.95) -> list[AuditResult]:
    """The same results with the verdicts of those that have a bar; p-values are corrected within each family.

    A result is "clear" where its interval lies below null + margin. Otherwise it is a "flag" where its value lies above
    the null and Holm's p is at most 1 - level. Without an interval it stays "undecided".

    Args:
        results: all results of one audit.
        level: confidence level, between 0 and 1.
    """
    adjusted = {}
    families = {result.bar.family for result in results if result.bar}
    for family in sorted(families):
        rows = [row for row, result in enumerate(results) if result.bar and result.bar.family == family]
        adjusted |= dict(zip(rows, holm([results[row].p for row in rows]), strict=True))
    return [_settled(result, float(adjusted.get(row, np.nan)), level) for row, result in enumerate(results)]


def _settled(result: AuditResult, p_holm: float, level: float) -> AuditResult:
    bar = result.bar
    if bar is None:
        return result
    known = not np.isnan([result.low, result.high]).any()
    verdict = verdict_of(result.value, result.high, p_holm, bar, level) if known else "undecided"
    return replace(result, p_holm=p_holm, verdict=verdict)


def verdict_of(value: float, high: float, p_holm: float, bar: Bar, level: float = 0.95) -> Verdict:
    """The verdict of a value: "clear" where its interval lies below null + margin, even if it differs from the null.

    >>> verdict_of(0.008, 0.015, 0.03, Bar(0.0, 0.05, "losses")), verdict_of(0.08, 0.12, 0.03, Bar(0.0, 0.05, "losses"))
    ('clear', 'flag')
    """
    if high < bar.null + bar.margin:
        return "clear"
    return "flag" if value > bar.null and p_holm < 1 - level + 1e-12 else "undecided"  # NaN is not below


# Results as plain values, for JSON, and back.

NUMBERS = ("value", "low", "high", "p", "p_holm")


def plain_result(result: AuditResult) -> dict[str, Any]:
    """A result as JSON values: every field under its name, floats to 6 decimals, NaN as None, the bar as a mapping."""
    return plain(result)


def restored(record: dict[str, Any]) -> AuditResult:
    """The result that `plain_result` wrote.

    Raises:
        TypeError: the record is of another version of cxrlens: a field is missing or unknown.
    """
    if record.keys() != {field.name for field in fields(AuditResult)}:
        raise TypeError(
            f"the record of an audit result is of another version of cxrlens; its fields are {', '.join(record)}"
        )
    values = dict(record)
    for name in NUMBERS:
        values[name] = np.nan if values[name] is None else float(values[name])
    values["bar"] = Bar(**values["bar"]) if values["bar"] else None
    return AuditResult(**values)


# Numbers and lists as text for sentences.

COLUMN_NAMES = {"license": "licence"}


def interval(estimate: Estimate, level: float) -> str:
    """A number with its interval, as text.

    >>> interval(Estimate(0.8, 0.7, 0.9, 0.1), 0.95)
    '0.80 (95% interval 0.70 to 0.90)'
    """
    if estimate.reason:
        return f"{fraction(estimate.value)} (no interval: {estimate.reason})"
    rough, low, high = "rough " if estimate.rough else "", fraction(estimate.low), fraction(estimate.high)
    return f"{fraction(estimate.value)} ({level:.0%} {rough}interval {low} to {high})"


def ends(estimate: Estimate, digits: int = 3) -> str:
    """An interval in brackets, or the reason why there is none, as text.

    >>> ends(Estimate(0.8, 0.7, 0.9, 0.1, rough=True))
    '[0.700, 0.900] (rough: few patients)'
    """
    if estimate.reason:
        return f"[no interval: {estimate.reason}]"
    text = f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
    return text + (" (rough: few patients)" if estimate.rough else "")


def listing(names: Sequence[str]) -> str:
    """Column names as a list for a sentence.

    >>> listing(["view"]), listing(["view", "age", "license"])
    ('view', 'view, age and licence')
    """
    return joined([COLUMN_NAMES.get(name, name) for name in names])
