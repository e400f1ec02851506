"""The label predicted from facts of the files: size, colour mode, format and greys, but no position in the image."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from cxrlens.audit.associations import FOLDS, SEEDS
from cxrlens.audit.base import AUC_BAR, AuditResult, Estimate, interval, listing, refused
from cxrlens.audit.case import CohortCase
from cxrlens.audit.out_of_fold import (
    ClassifierName,
    Labelled,
    auc_of_facts,
    labelled,
    limits_text,
    no_estimate_reason,
    numbers,
    one_hot,
    unseen_name,
)
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.text import fraction

NUMBERS = ("width", "height", "bytes")
WORDS = ("mode", "format")
GREYS = "histogram of greys"
STATISTIC = "AUC of predicting the label from file properties"
DIRECTION = "0.5: the files say nothing about the label; 1: they give every label away"
LIMITS = (
    "shows that the files of the classes differ, not that a network has used this; bytes and greys also depend on the "
    "body and on disease, so a part of the difference need not be a shortcut"
)


@PROBES.register("file_facts")
class FileFacts(CohortProbe):
    """Cross-validated AUC of a classifier on facts of the files, by folds of patients.

    Attributes:
        classifier: name of the classifier; by default a forest, because an image size identifies a device
            and has no trend.
        folds: number of folds, by patient.
        seeds: number of draws of the folds and of the classifier, over which the AUC is averaged.
    """

    classifier: ClassifierName = "forest"
    folds: int = Field(default=FOLDS, ge=2)
    seeds: int = Field(default=SEEDS, ge=1)

    def results(self, case: CohortCase) -> list[AuditResult]:
        """One result; its evidence has the AUC with folds by image, and the AUC without greys."""
        listed = case.facts["image"].isin(case.table["image"][case.table["label"].notna()]).to_numpy()
        facts, greys = case.facts[listed], case.histogram[listed]
        data = labelled(case, facts["image"].tolist())
        features = file_features(facts, greys)
        reason = no_estimate_reason(data.labels, data.patients) or ("" if features else "all files are alike")
        if reason:
            return [refused(self.name, None, STATISTIC, reason, LIMITS, DIRECTION)]
        columns, without_greys = list(features.values()), [features[name] for name in features if name != GREYS]
        auc = self._auc(case, data, columns)
        by_image = self._auc(case, data, columns, np.arange(len(data.labels)))
        header_auc = self._auc(case, data, without_greys) if without_greys else None
        naive = f". Folds by image, which put a patient into several folds, would give {fraction(by_image.value)}"
        return [
            AuditResult(
                self.name, None, STATISTIC, auc.value, auc.low, auc.high, "undecided",
                limits_text(case, LIMITS), DIRECTION,
                f"{listing(list(features)).capitalize()} of the files predict the label of unseen "
                f"{unseen_name(case)} with AUC {interval(auc, case.intervals.level)}"
                f"{naive if unseen_name(case) == 'patients' else ''}.",
                p=auc.p, reason=auc.reason, bar=AUC_BAR,
                evidence={
                    "by_image": _numbers(by_image), "without_greys": _numbers(header_auc) if header_auc else None,
                    "images": len(data.labels), "positive": int(data.labels.sum()),
                    "patients": len(np.unique(data.patients)),
                    "recipe": {"classifier": self.classifier, "folds": self.folds, "seeds": self.seeds},
                },
            )
        ]  # fmt: skip

    def _auc(
        self, case: CohortCase, data: Labelled, features: list[np.ndarray], separated_by: np.ndarray | None = None
    ) -> Estimate:
        return auc_of_facts(
            np.hstack(features), data.labels, data.patients, case.intervals, self.classifier, self.folds, self.seeds,
            separated_by, case.progress,
        )  # fmt: skip


def file_features(facts: pd.DataFrame, greys: np.ndarray) -> dict[str, np.ndarray]:
    """Name of a fact → its columns as numbers, float [n, d]; a fact without variation is left out."""
    features = {name: numbers(pd.to_numeric(facts[name], errors="coerce").to_numpy(float)) for name in NUMBERS}
    features |= {name: one_hot(["" if pd.isna(value) else str(value) for value in facts[name]]) for name in WORDS}
    features[GREYS] = greys[:, np.ptp(greys, axis=0) > 0] if len(greys) else greys
    return {name: columns for name, columns in features.items() if columns.shape[1]}


def _numbers(estimate: Estimate) -> dict[str, float]:
    return {"auc": estimate.value, "low": estimate.low, "high": estimate.high}
