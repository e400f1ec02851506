"""What else the features hold: a linear probe for source, site and view (Zech 2018, DeGrave 2021)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cxrlens.audit.base import AuditResult, Bar, Estimate, auc_estimate, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.evaluate.auc import no_auc_reason
from cxrlens.evaluate.probe import probe_scores

COLUMNS = ("source", "site", "view")
LEAST = 8  # images inside a group, and outside
KNOWN = Bar(0.5, 0.2, "features know the origin")
LIMITS = (
    "shows that the features hold where an image comes from, not that the score uses it; a group with other patients "
    "in it can be told by its patients"
)


@PROBES.register("source_probe")
class SourceProbe(ModelProbe):
    """AUC of a logistic regression on the frozen features, for the largest group of each column against the rest.

    By folds that keep patients apart, on validation images: those of training have left their labels in the features.
    To know the origin is a shortcut only where the origin tells the label, so p is the larger of both.
    """

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding a column that has two groups of some size."""
        features = case.features(case.pixels)
        return [self._of(case, column, features) for column in COLUMNS if case.table[column].nunique() > 1]

    def _of(self, case: ModelCase, column: str, features: np.ndarray) -> AuditResult:
        values = case.table[column]
        group = values.value_counts().index[0]
        inside = np.where(values.isna(), np.nan, values.eq(group).astype(float))
        statistic, judging = f"AUC of {column} '{group}' from the features", case.judging
        if min((inside == 1).sum(), (inside == 0).sum()) < LEAST:
            reason = f"{int((inside == 1).sum())} images are of {column} '{group}' and {int((inside == 0).sum())} not"
            return refused(self.name, case.name, statistic, f"{reason}; {LEAST} of each are needed", LIMITS)
        known = np.flatnonzero(~np.isnan(inside))
        who = case.patients[known]
        scores, part = probe_scores(features[known], inside[known] == 1, who, 5, judging.seed)
        if reason := no_auc_reason(inside[known] == 1, part):
            return refused(self.name, case.name, statistic, reason, LIMITS)
        found = auc_estimate(scores, inside[known] == 1, who, judging, part=part)
        told = self._label(case, known, inside[known])
        alone = f"{column} '{group}' by itself tells the label with AUC {told.value:.2f} {ends(told, 2)}"
        if np.isnan(told.value):
            alone = f"how well {column} '{group}' by itself tells the label is not known: {told.reason}"
        with_label = {side: _share(inside[case.labels == (side == "positive")]) for side in ("positive", "negative")}
        return AuditResult(
            self.name, case.name, statistic, found.value, found.low, found.high, "undecided", LIMITS,
            "above 0.5: the features tell where an image comes from",
            f"A linear reading of the features tells {column} '{group}' from the rest with AUC {found.value:.2f} "
            f"{ends(found, 2)}; {alone}.",
            p=float(np.maximum(found.p, told.p)), reason=found.reason or told.reason, bar=KNOWN,
            evidence={
                "group": str(group), "share_of_group": with_label, "label_auc": told.value, "label_low": told.low,
                "label_high": told.high, "label_p": told.p,
            },
        )  # fmt: skip

    def _label(self, case: ModelCase, known: np.ndarray, inside: np.ndarray) -> Estimate:
        """How well the group alone tells the label, whichever way round; NaN where too few of a class have it known."""
        if reason := case.no_auc_reason(known):
            return Estimate(np.nan, np.nan, np.nan, np.nan, reason=reason)
        found = auc_estimate(inside, case.labels, case.patients, case.judging, known)
        if found.value >= 0.5:
            return found
        return replace(found, value=1 - found.value, low=1 - found.high, high=1 - found.low, influence=None)


def _share(inside: np.ndarray) -> float:
    """Of the known, 1 or 0 each; NaN where none is."""
    known = inside[~np.isnan(inside)]
    return float(known.mean()) if len(known) else np.nan
