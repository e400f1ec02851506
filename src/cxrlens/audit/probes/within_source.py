"""AUC within sources: what is left when only images of one source are compared (Zech 2018)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxrlens.audit.base import AuditResult, Bar, auc_estimate, change, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe

COLUMNS = ("source", "site", "view")
LEAST = 5  # fewest images of each class, in groups that have both classes
BETWEEN = Bar(0.0, 0.05, "between groups")
LIMITS = (
    "the groups are as coarse as the table: two devices of one hospital are one group; images of groups with only one "
    "class are left out, so few images may be left"
)


@PROBES.register("within_source")
class WithinSource(ModelProbe):
    """The AUC over all pairs minus the AUC over pairs within a group, by source, site and view, on the same images."""

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result for each column with two groups."""
        return [self._of(case, column) for column in COLUMNS if case.table[column].nunique() > 1]

    def _of(self, case: ModelCase, column: str) -> AuditResult:
        statistic = f"AUC lost when only images of one {column} are compared"
        values = case.table[column]
        mixed = {name for name, labels in pd.Series(case.labels).groupby(values.to_numpy()) if labels.nunique() == 2}
        rows = np.flatnonzero(values.isin(list(mixed)).to_numpy())
        positive = int(case.labels[rows].sum())
        if min(positive, len(rows) - positive) < LEAST or len(mixed) < 2:
            reason = (
                f"{len(mixed)} {column} groups have both classes, with {positive} positive and {len(rows) - positive} "
                f"negative images; two groups and {LEAST} of each are needed"
            )
            return refused(self.name, case.name, statistic, reason, LIMITS)
        groups = pd.factorize(values.iloc[rows])[0]
        logits, patients, labels = case.logits[rows], case.patients[rows], case.labels[rows]
        overall = auc_estimate(logits, labels, patients, case.intervals)
        within = auc_estimate(logits, labels, patients, case.intervals, strata=groups)
        lost = change(overall, within, case.intervals.level)
        return AuditResult(
            self.name, case.name, statistic, lost.value, lost.low, lost.high, "undecided", LIMITS,
            f"above 0: a part of the AUC comes from differences between images of one {column} and another",
            f"On {len(rows)} images of {len(mixed)} {column} groups that have both classes, the AUC is "
            f"{overall.value:.3f}; within the groups it is {within.value:.3f} {ends(within)}.",
            p=lost.p, reason=lost.reason, bar=BETWEEN,
            evidence={
                "auc": overall.value, "auc_within": within.value, "auc_within_low": within.low,
                "auc_within_high": within.high, "groups": len(mixed), "images": len(rows), "positive": positive,
            },
        )  # fmt: skip
