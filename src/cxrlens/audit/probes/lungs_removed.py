"""Lungs filled with one grey: a network that uses the lungs must then fall to chance (Maguolo and Nanni 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.ablation import learned_from, left_over
from cxrlens.audit.base import AuditResult, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.masking import filled, mean_grey
from cxrlens.audit.probes import PROBES, ModelProbe

LIMITS = (
    "shows that this network can separate the classes without the lungs; the shape of the hole, the heart and the size "
    "of the body are still visible, and the network may use the lungs as well"
)


@PROBES.register("lungs_removed")
class LungsRemoved(ModelProbe):
    """The AUC on images whose lungs are filled with the mean grey of all."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """The images with their lungs filled with one grey."""
        return filled(case.pixels[torch.from_numpy(rows)], case.lungs.masks[rows], mean_grey(case.pixels))

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        if reason := no_lungs_reason(case):
            return [refused(self.name, case.name, "AUC with the lungs removed", reason, LIMITS)]
        return [left_over(self, case, "the lungs removed", LIMITS, case.lungs.rows)]


def no_lungs_reason(case: ModelCase) -> str:
    """The reason why a probe of the lungs cannot be measured, else ""."""
    if case.lungs.origin == "none":
        return case.lungs.unknown_reason
    return case.no_auc_reason(case.lungs.rows)


RETRAINED_LIMITS = (
    "shows that the classes can be learned from images without lungs, by anything in them, which includes the shape of "
    "the hole; not that the network trained on whole images does so"
)


@PROBES.register("lungs_removed_retrained")
class LungsRemovedRetrained(ModelProbe):
    """The AUC of the model retrained and evaluated on images whose lungs are filled with one grey."""

    by_choice: ClassVar[bool] = True

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        return [learned_from(self, LungsRemoved(), case, "images without lungs", RETRAINED_LIMITS, by_lungs=True)]
