"""Only images of one source compared: what is left of the AUC when sources cannot be told apart (Zech 2018)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxrlens.audit.base import AuditResult, Bar, auc_estimate, change, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe

COLUMNS = ("source", "site", "view")
LEAST = 5  # images of each class, in groups that have both
BETWEEN = Bar(0.0, 0.05, "between groups")
LIMITS = (
    "groups are as coarse as the table: two devices of one hospital are one group; images of groups that hold one "
    "class only are in no pair, so few may be left"
)


@PROBES.register("within_source")
class WithinSource(ModelProbe):
    """The AUC of all pairs minus that of pairs within a group, by source, site and view, on the same images."""

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding a column that has two groups."""
        return [self._of(case, column) for column in COLUMNS if case.table[column].nunique() > 1]

    def _of(self, case: ModelCase, column: str) -> AuditResult:
        statistic = f"AUC lost when only images of one {column} are compared"
        values = case.table[column]
        mixed = {name for name, side in pd.Series(case.labels).groupby(values.to_numpy()) if side.nunique() == 2}
        rows = np.flatnonzero(values.isin(list(mixed)).to_numpy())
        positive = int(case.labels[rows].sum())
        if min(positive, len(rows) - positive) < LEAST or len(mixed) < 2:
            reason = (
                f"{len(mixed)} {column} groups hold both classes, with {positive} positive and {len(rows) - positive} "
                f"negative images; two groups and {LEAST} of each are needed"
            )
            return refused(self.name, case.name, statistic, reason, LIMITS)
        part = pd.factorize(values.iloc[rows])[0]
        logits, who, labels = case.logits[rows], case.patients[rows], case.labels[rows]
        every = auc_estimate(logits, labels, who, case.judging)
        within = auc_estimate(logits, labels, who, case.judging, part=part)
        lost = change(every, within, case.judging.level)
        return AuditResult(
            self.name, case.name, statistic, lost.value, lost.low, lost.high, "undecided", LIMITS,
            f"above 0: part of the AUC is telling one {column} from another",
            f"Among {len(rows)} images of {len(mixed)} {column} groups that hold both classes, the AUC is "
            f"{every.value:.3f}; within a group it is {within.value:.3f} {ends(within)}.",
            p=lost.p, reason=lost.reason, bar=BETWEEN,
            evidence={
                "auc": every.value, "auc_within": within.value, "auc_within_low": within.low,
                "auc_within_high": within.high, "groups": len(mixed), "images": len(rows), "positive": positive,
            },
        )  # fmt: skip
