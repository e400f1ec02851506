"""The label told from what the files are: size, colour mode, format, greys, and nothing of where things lie."""

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
    limits,
    no_estimate,
    numbers,
    one_hot,
    unseen,
)
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.text import fraction

NUMBERS = ("width", "height", "bytes")
WORDS = ("mode", "format")
GREYS = "histogram of greys"
STATISTIC = "AUC of the label from file facts"
DIRECTION = "0.5: the files tell nothing; 1: they tell every label"
LIMITS = (
    "shows that the files of the classes differ, not that a network has used it; bytes and greys also depend on the "
    "body and on disease, so not all of it need be a shortcut"
)


@PROBES.register("file_facts")
class FileFacts(CohortProbe):
    """AUC of a classifier on facts of the files, by folds that keep patients apart.

    Attributes:
        classifier: a forest, since a size is a maker's mark, not a trend.
        folds: by patient.
        seeds: draws of the folds and of the forest, over which the AUC is averaged.
    """

    classifier: ClassifierName = "forest"
    folds: int = Field(default=FOLDS, ge=2)
    seeds: int = Field(default=SEEDS, ge=1)

    def findings(self, case: CohortCase) -> list[AuditResult]:
        """One finding; what folds by image would have given, and facts without greys, are in its evidence."""
        listed = case.facts["image"].isin(case.table["image"][case.table["label"].notna()]).to_numpy()
        facts, greys = case.facts[listed], case.histogram[listed]
        data = labelled(case, facts["image"].tolist())
        known = file_features(facts, greys)
        reason = no_estimate(data.labels, data.patients) or ("" if known else "all files are alike")
        if reason:
            return [refused(self.name, None, STATISTIC, reason, LIMITS, DIRECTION)]
        every, header = list(known.values()), [known[name] for name in known if name != GREYS]
        found = self._auc(case, data, every)
        by_image = self._auc(case, data, every, np.arange(len(data.labels)))
        without = self._auc(case, data, header) if header else None
        told = f"; folds by image, with patients on both sides, would read {fraction(by_image.value)}"
        return [
            AuditResult(
                self.name, None, STATISTIC, found.value, found.low, found.high, "undecided",
                limits(case, LIMITS), DIRECTION,
                f"{listing(list(known)).capitalize()} of the files tell the label of unseen {unseen(case)} with AUC "
                f"{interval(found, case.judging.level)}{told if unseen(case) == 'patients' else ''}.",
                p=found.p, reason=found.reason, bar=AUC_BAR,
                evidence={
                    "by_image": _told(by_image), "without_greys": _told(without) if without else None,
                    "images": len(data.labels), "positive": int(data.labels.sum()),
                    "patients": len(np.unique(data.patients)),
                    "recipe": {"classifier": self.classifier, "folds": self.folds, "seeds": self.seeds},
                },
            )
        ]  # fmt: skip

    def _auc(
        self, case: CohortCase, data: Labelled, features: list[np.ndarray], apart: np.ndarray | None = None
    ) -> Estimate:
        return auc_of_facts(
            np.hstack(features), data.labels, data.patients, case.judging, self.classifier, self.folds, self.seeds,
            apart, case.progress,
        )  # fmt: skip


def file_features(facts: pd.DataFrame, greys: np.ndarray) -> dict[str, np.ndarray]:
    """Name → what it says as numbers, float [n, d]; those that vary."""
    found = {name: numbers(pd.to_numeric(facts[name], errors="coerce").to_numpy(float)) for name in NUMBERS}
    found |= {name: one_hot(["" if pd.isna(value) else str(value) for value in facts[name]]) for name in WORDS}
    found[GREYS] = greys[:, np.ptp(greys, axis=0) > 0] if len(greys) else greys
    return {name: columns for name, columns in found.items() if columns.shape[1]}


def _told(estimate: Estimate) -> dict[str, float]:
    return {"auc": estimate.value, "low": estimate.low, "high": estimate.high}
