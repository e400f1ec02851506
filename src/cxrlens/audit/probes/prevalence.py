"""The label told by sorting: images of a group get the share of positives of the group (Zech et al. 2018)."""

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
    draw_folds,
    labelled,
    limits,
    no_estimate,
    over_seeds,
    unseen,
    without_columns,
)
from cxrlens.audit.probes import PROBES, CohortProbe

COLUMNS = ("source", "site", "view", "year")
DIRECTION = "0.5: the groups have the same share of positives; 1: the group tells every label"
LIMITS = "shows that the label goes with the group, not that a network can see the group in the images or has used it"


@PROBES.register("prevalence")
class Prevalence(CohortProbe):
    """AUC of sorting images by the share of positives among other patients' images of their group.

    Attributes:
        folds: by patient.
        seeds: draws of the folds, over which the AUC is averaged.
    """

    folds: int = Field(default=FOLDS, ge=2)
    seeds: int = Field(default=SEEDS, ge=1)

    def findings(self, case: CohortCase) -> list[AuditResult]:
        """One finding a column that has more than one value; unknown is a value."""
        data = labelled(case)
        values = columns(data.table)
        names = [name for name in COLUMNS if len(set(values[name])) > 1]
        reason = no_estimate(data.labels, data.patients)
        statistic = "AUC of the label by group alone"
        if not reason and (absent := without_columns(COLUMNS, values)):
            return [refused(self.name, None, statistic, absent, LIMITS, DIRECTION, asked=False)]
        if not reason and not names:
            reason = "source, site, view and year have one value each"
        if reason:
            return [refused(self.name, None, statistic, reason, LIMITS, DIRECTION)]
        parts = draw_folds(data.labels, data.patients, self.folds, self.seeds)
        return [self._of(case, data, name, values[name], parts) for name in names]

    def _of(
        self, case: CohortCase, data: Labelled, name: str, values: Sequence[str], parts: Sequence[np.ndarray]
    ) -> AuditResult:
        found = over_seeds(
            lambda seed: share_of_positives(values, data.labels.astype(float), parts[seed]),
            parts, data.labels, data.patients, case.judging,
        )  # fmt: skip
        images = Counter(value or "unknown" for value in values)
        positive = Counter(value or "unknown" for value, label in zip(values, data.labels, strict=True) if label)
        return AuditResult(
            self.name, None, f"AUC of the label by {name} alone", found.value, found.low, found.high, "undecided",
            limits(case, LIMITS), DIRECTION,
            f"Sorting the images by {name} alone ({len(images)} groups), each by the share of positives among other "
            f"{unseen(case)} of its group, tells the label with AUC {interval(found, case.judging.level)}.",
            p=found.p, reason=found.reason, bar=AUC_BAR,
            evidence={
                "column": name,
                "groups": {group: {"positive": positive[group], "images": n} for group, n in images.most_common()},
            },
        )  # fmt: skip
