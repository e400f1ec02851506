"""Lungs filled with one grey: a network that reads lungs must then be lost (Maguolo and Nanni 2020)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.ablation import left_over
from cxrlens.audit.base import Finding, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.filled import filled, mean_grey
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

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding."""
        if reason := without_lungs(case):
            return [refused(self.name, case.name, "AUC with the lungs removed", reason, LIMITS)]
        return [left_over(self, case, "the image without the lungs", LIMITS, case.lungs.rows)]


def without_lungs(case: ModelCase) -> str:
    """Why nothing can be said by lungs here, else ""."""
    if case.lungs.origin == "none":
        return "nobody knows where the lungs are" + "".join(f"; {reason}" for reason in case.lungs.refused)
    return case.without_auc(case.lungs.rows)
