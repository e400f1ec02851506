"""The label predicted by the group alone: an image's score is its group's share of positives (Zech et al. 2018)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from cxrlens.audit.associations import FOLDS, SEEDS, columns, share_of_positives
from cxrlens.audit.base import AUC_BAR, AuditResult, interval, refused
from cxrlens.audit.case import CohortCase
from cxrlens.audit.out_of_fold import (
    Labelled,
    auc_over_seeds,
    draw_folds,
    labelled,
    limits_text,
    no_columns_reason,
    no_estimate_reason,
    unseen_name,
)
from cxrlens.audit.probes import PROBES, CohortProbe

COLUMNS = ("source", "site", "view", "year")
DIRECTION = "0.5: the groups have the same share of positives; 1: the group gives every label away"
LIMITS = "shows that the group predicts the label, not that a network can see the group in the images or has used it"


@PROBES.register("prevalence")
class Prevalence(CohortProbe):
    """AUC of the share of positives among other patients' images of the same source, site, view or year.

    Attributes:
        folds: number of folds, by patient.
        seeds: number of draws of the folds, over which the AUC is averaged.
    """

    folds: int = Field(default=FOLDS, ge=2)
    seeds: int = Field(default=SEEDS, ge=1)

    def results(self, case: CohortCase) -> list[AuditResult]:
        """One result for each column with more than one value; "unknown" is a value."""
        data = labelled(case)
        values = columns(data.table)
        names = [name for name in COLUMNS if len(set(values[name])) > 1]
        reason = no_estimate_reason(data.labels, data.patients)
        statistic = "AUC of predicting the label from the group alone"
        if not reason and (absent := no_columns_reason(COLUMNS, values)):
            return [refused(self.name, None, statistic, absent, LIMITS, DIRECTION, applicable=False)]
        if not reason and not names:
            reason = "source, site, view and year have one value each"
        if reason:
            return [refused(self.name, None, statistic, reason, LIMITS, DIRECTION)]
        seed_folds = draw_folds(data.labels, data.patients, self.folds, self.seeds)
        return [self._of(case, data, name, values[name], seed_folds) for name in names]

    def _of(
        self, case: CohortCase, data: Labelled, name: str, values: Sequence[str], seed_folds: Sequence[np.ndarray]
    ) -> AuditResult:
        estimate = auc_over_seeds(
            lambda seed: share_of_positives(values, data.labels.astype(float), seed_folds[seed]),
            seed_folds, data.labels, data.patients, case.intervals,
        )  # fmt: skip
        images = Counter(value or "unknown" for value in values)
        positive = Counter(value or "unknown" for value, label in zip(values, data.labels, strict=True) if label)
        return AuditResult(
            self.name, None, f"AUC of predicting the label from the {name} alone", estimate.value,
            estimate.low, estimate.high, "undecided", limits_text(case, LIMITS), DIRECTION,
            f"The {name} alone ({len(images)} groups) predicts the label with AUC "
            f"{interval(estimate, case.intervals.level)}: an image's score is the share of positives among other "
            f"{unseen_name(case)} of its group.",
            p=estimate.p, reason=estimate.reason, bar=AUC_BAR,
            evidence={
                "column": name,
                "groups": {group: {"positive": positive[group], "images": n} for group, n in images.most_common()},
            },
        )  # fmt: skip
