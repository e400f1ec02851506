"""Corners filled in from their surroundings: how much AUC is lost (DeGrave et al. 2021)."""

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
    """The AUC that is lost when the four corners are filled in.

    Attributes:
        width: width of a corner, as a fraction of the side; by default no corner reaches the lungs of an upright
            frontal X-ray.
        height: height of a corner, as a fraction of the side.
    """

    width: float = Field(default=0.3, gt=0, le=0.5)
    height: float = Field(default=0.15, gt=0, le=0.5)

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """The images with their corners filled in."""
        return imputed(case.pixels[torch.from_numpy(rows)], corners(case.pixels.shape[2], self.width, self.height))

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        limits = (
            "shows reliance on the corners, not on a certain mark in them; a mark elsewhere is missed, and so is one "
            "whose effect the network can also read elsewhere"
        )
        return [ablated(self, case, "the corners", limits)]
