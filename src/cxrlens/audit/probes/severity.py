"""Rank correlation of the logit with experts' severity scores among positive images (Cohen et al. 2020).

A rank correlation is not a mean of influences, so its interval is a bootstrap over patients (Field and Welsh 2007).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from cxrlens.audit.base import AuditResult, Verdict, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe

LEAST = 10  # fewest scored images
USEFUL = 0.3  # smallest correlation that would be useful
LIMITS = (
    "measured on positive images alone, which are few; the correlation may come from what goes with severe disease, "
    "such as a bed, tubes or the view"
)


@PROBES.register("severity")
class Severity(ModelProbe):
    """Spearman's correlation of the logit with each experts' score, on positive validation images."""

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result for each score: "clear" where the interval lies above 0, "flag" where it lies below `USEFUL`."""
        return [self._of(case, name, scores) for name, scores in case.severity.items()]

    def _of(self, case: ModelCase, name: str, scores: np.ndarray) -> AuditResult:
        statistic, rows = f"Spearman correlation with {name}", np.flatnonzero(~np.isnan(scores) & case.labels)
        if len(rows) < LEAST:
            reason = f"{len(rows)} positive validation images have a score; {LEAST} are needed"
            return refused(self.name, case.name, statistic, reason, LIMITS)
        x, y, patients = case.logits[rows], scores[rows], case.patients[rows]
        if min(np.ptp(x), np.ptp(y)) == 0:
            return refused(self.name, case.name, statistic, "all scores or all logits are equal", LIMITS)
        value = float(spearmanr(x, y).statistic)
        draws = correlation_draws(x, y, patients, case.intervals.draws, np.random.default_rng(case.intervals.seed))
        low, high = percentile_interval(draws, case.intervals.level)
        verdict: Verdict = "clear" if low > 0 else "flag" if high < USEFUL else "undecided"
        return AuditResult(
            self.name, case.name, statistic, value, low, high, verdict, LIMITS,
            "1: the logit orders the positive images as the experts' score does; 0: it has no relation to the score",
            f"On {len(rows)} positive images of {len(set(patients))} patients with experts' scores, the logit's rank "
            f"correlation with {name} is {value:+.2f} [{low:.2f}, {high:.2f}].",
            p=two_sided_p(draws), evidence={"images": len(rows), "patients": len(set(patients))},
        )  # fmt: skip


def correlation_draws(
    x: np.ndarray, y: np.ndarray, patients: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Spearman's correlation in each bootstrap draw of patients, [draws]; NaN where x or y of a draw is constant."""
    names, patient_numbers = np.unique(patients.astype(str), return_inverse=True)
    rows_of = [np.flatnonzero(patient_numbers == number) for number in range(len(names))]
    correlations = np.full(draws, np.nan)
    for draw in range(draws):
        rows = np.concatenate([rows_of[number] for number in rng.integers(len(names), size=len(names))])
        if np.ptp(x[rows]) > 0 and np.ptp(y[rows]) > 0:
            correlations[draw] = spearmanr(x[rows], y[rows]).statistic
    return correlations


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The k-th smallest and k-th largest of B draws, k = floor((1 - level) / 2 · (B + 1)); NaN draws are left out.

    `two_sided_p` is at most 1 - level exactly where this interval excludes 0. The ends are NaN with too few draws.
    """
    known = np.sort(values[~np.isnan(values)])
    k = int((1 - level) / 2 * (len(known) + 1) + 1e-9)
    return (float(known[k - 1]), float(known[-k])) if k >= 1 else (np.nan, np.nan)


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the smaller tail beyond 0, each (k + 1) / (B + 1) (Davison and Hinkley 1997, ch. 4), without NaN draws.

    >>> two_sided_p(np.array([0.1] * 98 + [-0.1]))
    0.04
    """
    known = differences[~np.isnan(differences)]
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(known) + 1)) if len(known) else np.nan
