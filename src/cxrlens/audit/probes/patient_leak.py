"""Validation images of patients who are also in training: a network may recognise the patient, not the disease."""

from __future__ import annotations

from typing import Any

import numpy as np

from cxrlens.audit.base import AuditResult, refused
from cxrlens.audit.case import CohortCase
from cxrlens.audit.probes import PROBES, CohortProbe
from cxrlens.data.cohort import known_patients
from cxrlens.data.split import leak, patients_warning

STATISTIC = "share of validation images whose patient is also in the training set"
DIRECTION = "0: no validation patient is in the training set; larger is worse"
LIMITS = (
    "counts images, not how much they inflate a model's AUC; a patient with two ids is only recognised where both ids "
    "share an image"
)


@PROBES.register("patient_leak")
class PatientLeak(CohortProbe):
    """The share of validation images whose patient is in training, by the source's patient ids and by merged ids.

    It is a count of the listed images, not a sample, so it has no interval.
    """

    def results(self, case: CohortCase) -> list[AuditResult]:
        """One result, of the worst fold."""
        if not case.splits:
            return [refused(self.name, None, STATISTIC, "the study's split cannot be drawn", LIMITS, DIRECTION)]
        folds: list[dict[str, Any]] = []
        for split in case.splits:
            merged, by_source = leak(case.table, split, case.groups), leak(case.table, split)
            folds.append(
                {
                    "fold": split.fold,
                    "validation_images": merged.validation,
                    "leaking_images": len(merged.images),
                    "by_source_ids": len(by_source.images),
                    "through_merged_ids": len(set(merged.images) - set(by_source.images)),
                    "patients": len(merged.patients),
                    "images": list(merged.images),
                    "images_through_merged_ids": [name for name in merged.images if name not in by_source.images],
                }
            )
        worst = max(folds, key=lambda fold: fold["leaking_images"] / max(1, fold["validation_images"]))
        share = worst["leaking_images"] / max(1, worst["validation_images"])
        if not share and patients_warning(case.table):
            known = known_patients(case.table)
            reason = (
                f"the source names no patient of {int((~known).sum())} of {len(known)} images"
                if known.any()
                else "the source names no patient"
            ) + ", so no patient can be recognised in both the training and the validation set"
            return [refused(self.name, None, STATISTIC, reason, LIMITS, DIRECTION)]
        return [
            AuditResult(
                self.name, None, STATISTIC, share, np.nan, np.nan, "flag" if share else "clear", LIMITS, DIRECTION,
                _sentence(worst, len(folds)), evidence={**worst, "folds": folds},
            )
        ]  # fmt: skip


def _sentence(worst: dict[str, Any], folds: int) -> str:
    where = f" in the worst of {folds} folds" if folds > 1 else ""
    if not worst["leaking_images"]:
        in_any = f" in any of {folds} folds" if folds > 1 else ""
        return f"No validation image{in_any} is of a patient who is also in the training set."
    sentence = (
        f"{worst['leaking_images']} of {worst['validation_images']} validation images{where} are of patients who are "
        f"also in the training set: {worst['by_source_ids']} by the patient ids of the source"
    )
    more = worst["through_merged_ids"]
    return sentence + (f", and {more} more because two ids belong to one patient." if more else ".")
