"""Lungs filled with one grey: a network that reads lungs must then be lost (Maguolo and Nanni 2020)."""

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
    "shows that what is left without the lungs tells the classes apart for this network; the shape of the hole, the "
    "heart and the size of the body are left too, and a network may read lungs as well"
)


@PROBES.register("lungs_removed")
class LungsRemoved(ModelProbe):
    """The AUC on images whose lungs are filled with the mean grey of all."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """The lungs one grey."""
        return filled(case.pixels[torch.from_numpy(rows)], case.lungs.masks[rows], mean_grey(case.pixels))

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        if reason := without_lungs(case):
            return [refused(self.name, case.name, "AUC with the lungs removed", reason, LIMITS)]
        return [left_over(self, case, "the image without the lungs", LIMITS, case.lungs.rows)]


def without_lungs(case: ModelCase) -> str:
    """Why nothing can be said by lungs here, else ""."""
    if case.lungs.origin == "none":
        return "nobody knows where the lungs are" + "".join(f"; {reason}" for reason in case.lungs.refused)
    return case.no_auc_reason(case.lungs.rows)


# Lungs removed before training as well: what can be learned where there are no lungs (Maguolo and Nanni 2020).

RETRAINED_LIMITS = (
    "shows that images without lungs can be told apart, by anything in them, the shape of the hole among it; not that "
    "the network trained on whole images does so"
)


@PROBES.register("lungs_removed_retrained")
class LungsRemovedRetrained(ModelProbe):
    """The AUC of this row trained anew, and judged, on images whose lungs are filled with one grey."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        return [learned_from(self, LungsRemoved(), case, "images without lungs", RETRAINED_LIMITS, by_lungs=True)]
