"""A source that was never seen: a linear reading of the features, by folds of patients and by folds of sources."""

from __future__ import annotations

import numpy as np

from cxrlens.audit.base import AuditResult, Bar, auc_estimate, change, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.evaluate.auc import no_auc_reason
from cxrlens.evaluate.probe import probe_scores

COLUMNS = ("source", "site")
LOST = Bar(0.0, 0.05, "a new source")
LIMITS = (
    "of a new linear head on the network's features, since the network itself has seen every source; few sources make "
    "a wide interval. `cxrlens evaluate RUN --data OTHER` asks the network itself, on other images"
)


@PROBES.register("leave_one_source_out")
class LeaveOneSourceOut(ModelProbe):
    """The AUC of a linear head judged on other patients, minus that of one judged on other sources.

    On validation images. DeGrave et al. 2021 saw about 0.99 inside and 0.70 to 0.76 outside.
    """

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding a column that has several groups."""
        features = case.features(case.pixels)
        return [self._of(case, column, features) for column in COLUMNS if case.table[column].nunique() > 1]

    def _of(self, case: ModelCase, column: str, features: np.ndarray) -> AuditResult:
        statistic = f"AUC of a linear head lost on another {column}"
        known = np.flatnonzero(case.table[column].notna().to_numpy())
        groups = case.table[column].iloc[known].astype(str).to_numpy()
        labels, who, seed = case.labels[known], case.patients[known], case.judging.seed
        found = []
        for what, by in (("patients", who), (column, groups)):
            scores, part = probe_scores(features[known], labels, by, 5, seed)
            reason = no_auc_reason(labels, part)
            if len(np.unique(part)) < 2:
                reason = f"folds by {what} need two {what} with images of each class"
            if reason:
                return refused(self.name, case.name, statistic, reason, LIMITS)
            found.append(auc_estimate(scores, labels, who, case.judging, part=part))
        inside, outside = found
        lost = change(inside, outside, case.judging.level)
        return AuditResult(
            self.name, case.name, statistic, lost.value, lost.low, lost.high, "undecided", LIMITS,
            f"above 0: what the features say of the label does not carry over to another {column}",
            f"A linear head reaches AUC {inside.value:.3f} on other patients and {outside.value:.3f} "
            f"{ends(outside)} on a {column} that it was not fitted to.",
            p=lost.p, reason=lost.reason, bar=LOST,
            evidence={
                "auc_other_patients": inside.value, "auc_other_group": outside.value, "groups": len(set(groups)),
                "images": len(known),
            },
        )  # fmt: skip
