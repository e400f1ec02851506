"""Whether the features reveal source, site or view: a linear probe (Zech 2018, DeGrave 2021)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cxrlens.audit.base import AuditResult, Bar, Estimate, auc_estimate, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.evaluate.auc import no_auc_reason
from cxrlens.evaluate.probe import probe_scores

COLUMNS = ("source", "site", "view")
LEAST = 8  # fewest images in a group, and outside it
KNOWN = Bar(0.5, 0.2, "features know the origin")
LIMITS = (
    "shows that the features reveal where an image comes from, not that the score uses this; the features may "
    "recognise the patients of a group instead of the source"
)


@PROBES.register("source_probe")
class SourceProbe(ModelProbe):
    """AUC of a logistic regression on the frozen features, for the largest group of each column against the rest.

    It is cross-validated by patient on validation images, since the features of training images reflect their labels.
    Features that reveal the origin are a shortcut only where the origin predicts the label, so p is the larger of both.
    """

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result for each column with two groups of sufficient size."""
        features = case.own_features
        return [self._of(case, column, features) for column in COLUMNS if case.table[column].nunique() > 1]

    def _of(self, case: ModelCase, column: str, features: np.ndarray) -> AuditResult:
        values = case.table[column]
        group = values.value_counts().index[0]
        in_group = np.where(values.isna(), np.nan, values.eq(group).astype(float))
        statistic, intervals = f"AUC of predicting {column} '{group}' from the features", case.intervals
        if min((in_group == 1).sum(), (in_group == 0).sum()) < LEAST:
            reason = (
                f"{int((in_group == 1).sum())} images are of {column} '{group}' and {int((in_group == 0).sum())} not"
            )
            return refused(self.name, case.name, statistic, f"{reason}; {LEAST} of each are needed", LIMITS)
        known = np.flatnonzero(~np.isnan(in_group))
        patients = case.patients[known]
        scores, folds = probe_scores(features[known], in_group[known] == 1, patients, 5, intervals.seed)
        if reason := no_auc_reason(in_group[known] == 1, folds):
            return refused(self.name, case.name, statistic, reason, LIMITS)
        auc = auc_estimate(scores, in_group[known] == 1, patients, intervals, strata=folds)
        label_auc = self._label_auc(case, known, in_group[known])
        alone = f"{column} '{group}' alone predicts the label with AUC {label_auc.value:.2f} {ends(label_auc, 2)}"
        if np.isnan(label_auc.value):
            alone = f"how well {column} '{group}' alone predicts the label is not known: {label_auc.reason}"
        of_classes = {"positive": _share(in_group[case.labels]), "negative": _share(in_group[~case.labels])}
        return AuditResult(
            self.name, case.name, statistic, auc.value, auc.low, auc.high, "undecided", LIMITS,
            "above 0.5: the features reveal where an image comes from",
            f"A linear probe of the features separates {column} '{group}' from the rest with AUC {auc.value:.2f} "
            f"{ends(auc, 2)}; {alone}.",
            p=float(np.maximum(auc.p, label_auc.p)), reason=auc.reason or label_auc.reason, bar=KNOWN,
            evidence={
                "group": str(group), "share_of_group": of_classes, "label_auc": label_auc.value,
                "label_low": label_auc.low, "label_high": label_auc.high, "label_p": label_auc.p,
            },
        )  # fmt: skip

    def _label_auc(self, case: ModelCase, known: np.ndarray, in_group: np.ndarray) -> Estimate:
        """AUC of the label by the group alone, in the better direction; NaN with too few images of a class."""
        if reason := case.no_auc_reason(known):
            return Estimate(np.nan, np.nan, np.nan, np.nan, reason=reason)
        estimate = auc_estimate(in_group, case.labels, case.patients, case.intervals, known)
        if estimate.value >= 0.5:
            return estimate
        low, high = 1 - estimate.high, 1 - estimate.low
        return replace(estimate, value=1 - estimate.value, low=low, high=high, influence=None)


def _share(in_group: np.ndarray) -> float:
    """Share of ones among the known values; NaN where none is known."""
    known = in_group[~np.isnan(in_group)]
    return float(known.mean()) if len(known) else np.nan
