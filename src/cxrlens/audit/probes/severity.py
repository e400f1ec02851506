"""Does the score follow what experts call severe: rank correlation among the positive (Cohen et al. 2020).

A rank correlation is no mean of influences, so its interval is by draws of patients (Field and Welsh 2007).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from cxrlens.audit.base import AuditResult, Verdict, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe

LEAST = 10  # scored images
HARDLY = 0.3  # a correlation below that would be of little use
LIMITS = "positive images alone, few of them; a score may follow severity by way of the bed, the tubes or the view"


@PROBES.register("severity")
class Severity(ModelProbe):
    """Spearman's correlation of the logit with each of the experts' scores, on positive validation images."""

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding a score: "clear" where the interval lies above 0, "flag" where it lies below `HARDLY`."""
        return [self._of(case, name, scores) for name, scores in case.severity.items()]

    def _of(self, case: ModelCase, name: str, scores: np.ndarray) -> AuditResult:
        statistic, rows = f"Spearman correlation with {name}", np.flatnonzero(~np.isnan(scores) & case.labels)
        if len(rows) < LEAST:
            reason = f"{len(rows)} positive validation images have a score; {LEAST} are needed"
            return refused(self.name, case.name, statistic, reason, LIMITS)
        x, y, who = case.logits[rows], scores[rows], case.patients[rows]
        if min(np.ptp(x), np.ptp(y)) == 0:
            return refused(self.name, case.name, statistic, "all scores, or all logits, are the same", LIMITS)
        value = float(spearmanr(x, y).statistic)
        drawn = _draws(x, y, who, case.judging.draws, np.random.default_rng(case.judging.seed))
        low, high = percentile_interval(drawn, case.judging.level)
        verdict: Verdict = "clear" if low > 0 else "flag" if high < HARDLY else "undecided"
        return AuditResult(
            self.name, case.name, statistic, value, low, high, verdict, LIMITS,
            "1: the score orders the ill as experts do; 0: not at all",
            f"Among {len(rows)} positive images with experts' scores of {len(set(who))} patients, the score's rank "
            f"correlation with {name} is {value:+.2f} [{low:.2f}, {high:.2f}].",
            p=two_sided_p(drawn), evidence={"images": len(rows), "patients": len(set(who))},
        )  # fmt: skip


def _draws(x: np.ndarray, y: np.ndarray, who: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The correlation in each draw of patients, [draws]; NaN where one side of a draw has a single value."""
    names, of = np.unique(who.astype(str), return_inverse=True)
    members = [np.flatnonzero(of == number) for number in range(len(names))]
    found = np.full(draws, np.nan)
    for draw in range(draws):
        rows = np.concatenate([members[number] for number in rng.integers(len(names), size=len(names))])
        if np.ptp(x[rows]) > 0 and np.ptp(y[rows]) > 0:
            found[draw] = spearmanr(x[rows], y[rows]).statistic
    return found


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The k-th smallest and k-th largest draw, k = floor((1 - level) / 2 · (B + 1)); NaN draws are left out.

    `two_sided_p` falls to 1 - level exactly where this interval leaves 0 outside. NaN where there are too few draws.
    """
    kept = np.sort(values[~np.isnan(values)])
    k = int((1 - level) / 2 * (len(kept) + 1) + 1e-9)
    return (float(kept[k - 1]), float(kept[-k])) if k >= 1 else (np.nan, np.nan)


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the smaller tail beyond 0, each (k + 1) / (B + 1) (Davison and Hinkley 1997, ch. 4), without NaN draws.

    >>> two_sided_p(np.array([0.1] * 98 + [-0.1]))
    0.04
    """
    kept = differences[~np.isnan(differences)]
    tail = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(kept) + 1)) if len(kept) else np.nan
