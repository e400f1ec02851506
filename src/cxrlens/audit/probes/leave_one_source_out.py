"""Generalisation to a new source: a linear head on the features, cross-validated by patient and by source."""

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
    "measures a new linear head on the network's features, since the network itself has seen every source; few sources "
    "give a wide interval. `cxrlens evaluate RUN --data OTHER` evaluates the network itself on other images"
)


@PROBES.register("leave_one_source_out")
class LeaveOneSourceOut(ModelProbe):
    """The AUC of a linear head cross-validated by patient, minus its AUC cross-validated by source.

    It is measured on validation images. DeGrave et al. 2021 report about 0.99 within sources and 0.70 to 0.76 on
    others.
    """

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result for each column with several groups."""
        features = case.own_features
        return [self._of(case, column, features) for column in COLUMNS if case.table[column].nunique() > 1]

    def _of(self, case: ModelCase, column: str, features: np.ndarray) -> AuditResult:
        statistic = f"AUC that a linear head loses on another {column}"
        known = np.flatnonzero(case.table[column].notna().to_numpy())
        groups = case.table[column].iloc[known].astype(str).to_numpy()
        labels, patients, seed = case.labels[known], case.patients[known], case.intervals.seed
        estimates = []
        for unit, separated_by in (("patients", patients), (column, groups)):
            scores, folds = probe_scores(features[known], labels, separated_by, 5, seed)
            reason = no_auc_reason(labels, folds)
            if len(np.unique(folds)) < 2:
                reason = f"folds by {unit} need two {unit} with images of each class"
            if reason:
                return refused(self.name, case.name, statistic, reason, LIMITS)
            estimates.append(auc_estimate(scores, labels, patients, case.intervals, strata=folds))
        by_patient, by_group = estimates
        lost = change(by_patient, by_group, case.intervals.level)
        return AuditResult(
            self.name, case.name, statistic, lost.value, lost.low, lost.high, "undecided", LIMITS,
            f"above 0: what the features say about the label does not carry over to another {column}",
            f"A linear head reaches AUC {by_patient.value:.3f} on other patients, and {by_group.value:.3f} "
            f"{ends(by_group)} on a {column} that it was not fitted to.",
            p=lost.p, reason=lost.reason, bar=LOST,
            evidence={
                "auc_other_patients": by_patient.value, "auc_other_group": by_group.value, "groups": len(set(groups)),
                "images": len(known),
            },
        )  # fmt: skip
