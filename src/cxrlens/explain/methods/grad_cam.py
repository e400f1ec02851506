"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, eqs. 1-2)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cxrlens.explain.layers import ActivationMap
from cxrlens.explain.methods import METHODS


@METHODS.register("grad_cam")
class GradCam(ActivationMap):
    """Each channel's map, weighted by the mean of the logit's gradient over it.

    `Attribution.evidence` applies the ReLU of equation 2, so the raw map keeps the evidence against the target. The map
    is exact if the layer is averaged and then weighted (it is CAM / (h'·w')). Elsewhere, as before the benchmark's
    dense layer, the mean loses the position of the gradient; `hires_cam` keeps it.
    """

    title: ClassVar[str] = "Grad-CAM"
    citation: ClassVar[str] = "Selvaraju et al. 2017, arXiv:1610.02391, eqs. 1-2"

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Equations 1 and 2 without the ReLU."""
        weights = gradient.mean((2, 3), keepdim=True)  # eq. 1
        return (weights * activation).sum(1)  # eq. 2
