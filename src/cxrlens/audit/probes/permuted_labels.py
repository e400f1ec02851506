"""Labels shuffled among patients: whatever is learned then is a leak (the null of every other number here)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import stats

from cxrlens.audit.base import AuditResult, Bar, auc_estimate, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.evaluate.auc import auc
from cxrlens.evaluate.probe import fitted_probe

LEAK = Bar(0.5, 0.05, "shuffled labels")
LIMITS = (
    "of a linear head on the network's features, fitted to the training side and judged on the validation side; shows "
    "that patients can be recognised across the sides, not how much that flatters the network"
)


@PROBES.register("permuted_labels")
class PermutedLabels(ModelProbe):
    """The AUC of a linear head that learned shuffled labels: one label a patient, drawn anew each time.

    About 0.5 where the sides share no patient. Above it, patients are recognised.

    Attributes:
        times: how often the labels are shuffled.
    """

    times: int = Field(default=30, ge=5)

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        statistic, side = "AUC after learning shuffled labels", case.training
        inside, outside = case.features(side.pixels), case.features(case.pixels)
        names = np.unique(np.concatenate([side.patients, case.patients]).astype(str))
        first, second = (np.searchsorted(names, who.astype(str)) for who in (side.patients, case.patients))
        prevalence, rng = float(side.labels.mean()), np.random.default_rng(case.judging.seed)
        found = []
        for _ in range(20 * self.times):
            label = rng.random(len(names)) < prevalence
            if min(_classes(label[first]), _classes(label[second])) < 2:
                continue
            scores = fitted_probe(inside, label[first].astype(int)).decision_function(outside)
            found.append(auc(label[second].astype(float), scores))
            if len(found) == self.times:
                break
        if len(found) < self.times:
            return [refused(self.name, case.name, statistic, "shuffled labels leave a side with one class", LIMITS)]
        values = np.array(found)
        value, freedom = float(values.mean()), len(values) - 1
        error = float(values.std(ddof=1)) / len(values) ** 0.5
        reach = float(stats.t.ppf((1 + case.judging.level) / 2, freedom)) * error
        # All alike where the features are, or where every patient is recognised.
        p = float(2 * stats.t.sf(abs(value - 0.5) / error, freedom)) if error > 0 else float(value == 0.5)
        return [AuditResult(
            self.name, case.name, statistic, value, value - reach, value + reach, "undecided", LIMITS,
            "0.5: nothing is learned from labels that mean nothing; above: patients of training are recognised",
            f"With labels shuffled among patients, {self.times} times, a linear head reaches a mean AUC of {value:.3f} "
            f"[{value - reach:.3f}, {value + reach:.3f}].",
            p=p, bar=LEAK,
            evidence={"times": self.times, "patients_on_both_sides": len(np.intersect1d(first, second))},
        )]  # fmt: skip


def _classes(labels: np.ndarray) -> int:
    return len(np.unique(labels))


# The whole pipeline on shuffled labels: an AUC that is not about 0.5 comes from the pipeline.

STATISTIC = "AUC after training on shuffled labels"
NULL = Bar(0.5, 0.1, "shuffled labels, trained anew")
RETRAINED_LIMITS = "one draw of labels, so chance alone moves it as far as its interval says"


@PROBES.register("permuted_labels_retrained")
class PermutedLabelsRetrained(ModelProbe):
    """The AUC of this row trained anew on labels shuffled among patients, against labels shuffled alike."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        side, rng = case.training, np.random.default_rng(case.judging.seed)
        if case.again is None:
            return [refused(self.name, case.name, STATISTIC, "no training was asked for", RETRAINED_LIMITS)]
        names = np.unique(np.concatenate([side.patients, case.patients]).astype(str))
        label = rng.permutation(np.arange(len(names)) < round(side.labels.mean() * len(names)))
        of = dict(zip(names, label, strict=True))
        trained, judged = (np.array([of[str(who)] for who in each]) for each in (side.patients, case.patients))
        if min(len(np.unique(trained)), len(np.unique(judged))) < 2:
            reason = "the shuffled labels leave a side with one class"
            return [refused(self.name, case.name, STATISTIC, reason, RETRAINED_LIMITS)]
        logits = case.again(side.pixels, trained, case.pixels)
        found = auc_estimate(logits, judged, case.patients, case.judging)
        return [AuditResult(
            self.name, case.name, STATISTIC, found.value, found.low, found.high, "undecided", RETRAINED_LIMITS,
            "0.5: the pipeline learns nothing from labels that mean nothing",
            f"Trained on labels shuffled among patients, the same row reaches AUC {found.value:.3f} "
            f"{ends(found)}.",
            p=found.p, reason=found.reason, bar=NULL, evidence={"images": len(judged), "positive": int(judged.sum())},
        )]  # fmt: skip
