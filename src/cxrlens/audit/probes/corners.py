"""Corners filled from what is around them: how much of the AUC went with them (DeGrave et al. 2021)."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cxrlens.audit.ablation import ablated
from cxrlens.audit.base import AuditResult
from cxrlens.audit.case import ModelCase
from cxrlens.audit.masking import corners, imputed
from cxrlens.audit.probes import PROBES, ModelProbe


@PROBES.register("corners")
class Corners(ModelProbe):
    """The AUC that filling the four corners takes away.

    Attributes:
        width: of a corner, as a share of the side; of the four, none reaches the lungs of an upright frontal.
        height: likewise.
    """

    width: float = Field(default=0.3, gt=0, le=0.5)
    height: float = Field(default=0.15, gt=0, le=0.5)

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """Without what was in the corners."""
        return imputed(case.pixels[torch.from_numpy(rows)], corners(case.pixels.shape[2], self.width, self.height))

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        limits = (
            "shows reliance on what is in the corners, not on which mark in it; a mark that lies elsewhere, or whose "
            "trace the network also finds elsewhere, is missed"
        )
        return [ablated(self, case, "the corners", limits)]
