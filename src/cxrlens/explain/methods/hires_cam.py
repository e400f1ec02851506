"""HiResCAM (Draelos and Carin 2020, arXiv:2011.08891): the gradient stays where it was."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cxrlens.explain.layers import ActivationMap
from cxrlens.explain.methods import METHODS


@METHODS.register("hires_cam")
class HiResCam(ActivationMap):
    """Each channel's map times the gradient by it, cell by cell.

    The one variant of Grad-CAM that is here, because it mends what is wrong with it: through whatever piecewise linear
    layers follow, the map sums to the logit less the biases' part, also where a dense layer reads each cell with
    another weight. Under a pooled linear head it is Grad-CAM times h'·w'. Grad-CAM++ and its kin weigh whole channels.
    """

    title: ClassVar[str] = "HiResCAM"
    citation: ClassVar[str] = "Draelos and Carin 2020, arXiv:2011.08891"

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """The sum over channels of map × gradient."""
        return (gradient * activation).sum(1)
