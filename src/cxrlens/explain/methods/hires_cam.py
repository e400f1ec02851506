"""HiResCAM (Draelos and Carin 2020, arXiv:2011.08891): the gradient keeps its position."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cxrlens.explain.layers import ActivationMap
from cxrlens.explain.methods import METHODS


@METHODS.register("hires_cam")
class HiResCam(ActivationMap):
    """Each channel's map times the gradient with respect to it, cell by cell.

    It corrects a fault of Grad-CAM: if piecewise linear layers follow, the map sums to the logit minus what the biases
    add, even if a dense layer has a different weight for each cell. With a pooled linear head, it is Grad-CAM times
    h'·w'. Grad-CAM++ and similar variants weight whole channels, so they do not correct this fault and are not here.
    """

    title: ClassVar[str] = "HiResCAM"
    citation: ClassVar[str] = "Draelos and Carin 2020, arXiv:2011.08891"

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The sum over channels of map × gradient."""
        return (gradient * activation).sum(1)
