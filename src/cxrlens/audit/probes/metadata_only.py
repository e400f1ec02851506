"""The label predicted from the cohort's table, without any image (Maguolo & Nanni 2020, DeGrave et al. 2021)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cxrlens.audit.associations import FOLDS, SEEDS, associations, columns
from cxrlens.audit.base import AUC_BAR, AuditResult, interval, listing, refused
from cxrlens.audit.case import CohortCase
from cxrlens.audit.out_of_fold import (
    ClassifierName,
    Labelled,
    auc_of_facts,
    labelled,
    limits_text,
    no_columns_reason,
    no_estimate_reason,
    one_hot,
    unseen_name,
)
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.text import fraction

Feature = Literal["view", "age", "sex", "site", "source", "license"]
DIRECTION = "0.5: the table says nothing about the label; 1: it gives every label away without an image"
LIMITS = "shows that the table predicts the label, not that a network can see this in the images or has used it"


@PROBES.register("metadata_only")
class MetadataOnly(CohortProbe):
    """Cross-validated AUC of a classifier on the table's columns, by folds of patients.

    Attributes:
        features: columns of the table; each value, "unknown" too, becomes a column of 0 and 1, and ages are in decades.
        classifier: name of the classifier; by default logistic regression, which suits many rare values and few images.
        folds: number of folds, by patient.
        seeds: number of draws of the folds, over which the AUC is averaged.
    """

    features: tuple[Feature, ...] = Field(default=("view", "age", "sex", "site", "source", "license"), min_length=1)
    classifier: ClassifierName = "logistic"
    folds: int = Field(default=FOLDS, ge=2)
    seeds: int = Field(default=SEEDS, ge=1)

    def results(self, case: CohortCase) -> list[AuditResult]:
        """Two results, without the date and with its year; one where the table has neither columns nor dates."""
        data = labelled(case)
        names = (*self.features, "year")
        absent = (
            no_columns_reason(names, columns(data.table)) if not no_estimate_reason(data.labels, data.patients) else ""
        )
        if absent:
            return [
                refused(
                    self.name,
                    None,
                    "AUC of predicting the label from metadata",
                    absent,
                    LIMITS,
                    DIRECTION,
                    applicable=False,
                )
            ]
        return [self._of(case, data, self.features), self._of(case, data, (*self.features, "year"))]

    def _of(self, case: CohortCase, data: Labelled, names: tuple[str, ...]) -> AuditResult:
        with_year = "year" in names
        statistic = f"AUC of predicting the label from metadata, {'with the year' if with_year else 'without the date'}"
        values = columns(data.table)
        varying = [name for name in names if len(set(values[name])) > 1]
        reason = no_estimate_reason(data.labels, data.patients)
        if not reason and (absent := no_columns_reason(names, values)):
            return refused(self.name, None, statistic, absent, LIMITS, DIRECTION, applicable=False)
        if not reason and not varying:
            reason = f"{listing(names)} have one value each"
        if not reason and with_year and "year" not in varying:
            reason = "the images have no date, or all the same year"
        if reason:
            return refused(self.name, None, statistic, reason, LIMITS, DIRECTION)
        auc = auc_of_facts(
            np.hstack([one_hot(values[name]) for name in varying]), data.labels, data.patients, case.intervals,
            self.classifier, self.folds, self.seeds, progress=case.progress,
        )  # fmt: skip
        single = associations(case.table, None, case.groups, self.folds, self.seeds)
        column_aucs = {association.column: association.auc for association in single if association.column in varying}
        best = next(iter(column_aucs), "")
        best_column = ""
        if len(column_aucs) > 1:
            best_column = f"; the best single column is {listing([best])} with AUC {fraction(column_aucs[best])}"
        return AuditResult(
            self.name, None, statistic, auc.value, auc.low, auc.high, "undecided",
            limits_text(case, LIMITS), DIRECTION,
            f"{listing(varying).capitalize()} predict the label of unseen {unseen_name(case)} with AUC "
            f"{interval(auc, case.intervals.level)}, without any image{best_column}.",
            p=auc.p, reason=auc.reason, bar=AUC_BAR,
            evidence={
                "auc_of_each_column_alone": column_aucs,
                "unknown": {name: values[name].count("") for name in varying},
                "images": len(data.labels), "positive": int(data.labels.sum()),
                "patients": len(np.unique(data.patients)),
                "recipe": {"classifier": self.classifier, "folds": self.folds, "seeds": self.seeds},
            },
        )  # fmt: skip
