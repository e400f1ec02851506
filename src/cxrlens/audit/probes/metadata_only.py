"""The label told from the cohort's table, without looking at an image (Maguolo & Nanni 2020, DeGrave et al. 2021)."""

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
    limits,
    no_estimate,
    one_hot,
    unseen,
    without_columns,
)
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.text import fraction

Feature = Literal["view", "age", "sex", "site", "source", "license"]
DIRECTION = "0.5: the table tells nothing; 1: it tells every label without an image"
LIMITS = "shows that the table tells the label, not that a network can see it in the images or has used it"


@PROBES.register("metadata_only")
class MetadataOnly(CohortProbe):
    """AUC of a classifier on the table's columns, by folds that keep patients apart.

    Attributes:
        features: columns of the table; each value is a column of 0 and 1, "unknown" too, and ages are by decade.
        classifier: logistic regression adds up what each value says, which suits many rare values and few images.
        folds: by patient.
        seeds: draws of the folds, over which the AUC is averaged.
    """

    features: tuple[Feature, ...] = Field(default=("view", "age", "sex", "site", "source", "license"), min_length=1)
    classifier: ClassifierName = "logistic"
    folds: int = Field(default=FOLDS, ge=2)
    seeds: int = Field(default=SEEDS, ge=1)

    def findings(self, case: CohortCase) -> list[AuditResult]:
        """Two findings: without the date and with its year; one where the table has neither columns nor dates."""
        data = labelled(case)
        names = (*self.features, "year")
        absent = without_columns(names, columns(data.table)) if not no_estimate(data.labels, data.patients) else ""
        if absent:
            return [refused(self.name, None, "AUC of the label from the table", absent, LIMITS, DIRECTION, asked=False)]
        return [self._of(case, data, self.features), self._of(case, data, (*self.features, "year"))]

    def _of(self, case: CohortCase, data: Labelled, names: tuple[str, ...]) -> AuditResult:
        dated = "year" in names
        statistic = f"AUC of the label from the table, {'with the year' if dated else 'without the date'}"
        values = columns(data.table)
        telling = [name for name in names if len(set(values[name])) > 1]
        reason = no_estimate(data.labels, data.patients)
        if not reason and (absent := without_columns(names, values)):
            return refused(self.name, None, statistic, absent, LIMITS, DIRECTION, asked=False)
        if not reason and not telling:
            reason = f"{listing(names)} have one value each"
        if not reason and dated and "year" not in telling:
            reason = "the images have no date, or all the same year"
        if reason:
            return refused(self.name, None, statistic, reason, LIMITS, DIRECTION)
        found = auc_of_facts(
            np.hstack([one_hot(values[name]) for name in telling]), data.labels, data.patients, case.judging,
            self.classifier, self.folds, self.seeds, progress=case.progress,
        )  # fmt: skip
        alone = associations(case.table, None, case.groups, self.folds, self.seeds)
        by_itself = {each.column: each.auc for each in alone if each.column in telling}
        most = next(iter(by_itself), "")
        told = f"; most by {listing([most])} alone, {fraction(by_itself[most])}" if len(by_itself) > 1 else ""
        auc = interval(found, case.judging.level)
        return AuditResult(
            self.name, None, statistic, found.value, found.low, found.high, "undecided",
            limits(case, LIMITS), DIRECTION,
            f"{listing(telling).capitalize()} tell the label of unseen {unseen(case)} with AUC {auc}, without any "
            f"image{told}.",
            p=found.p, reason=found.reason, bar=AUC_BAR,
            evidence={
                "auc_of_each_column_alone": by_itself,
                "unknown": {name: values[name].count("") for name in telling},
                "images": len(data.labels), "positive": int(data.labels.sum()),
                "patients": len(np.unique(data.patients)),
                "recipe": {"classifier": self.classifier, "folds": self.folds, "seeds": self.seeds},
            },
        )  # fmt: skip
