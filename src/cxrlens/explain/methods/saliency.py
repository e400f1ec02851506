"""Saliency (Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3): the gradient of the logit."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from cxrlens.explain.base import Shown, channel_gradient, largest_channel, pixel_gradient
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("saliency")
class Saliency(Method):
    """The raw gradient, signed; shown as its magnitude.

    The X-ray is grey, but the network is given it three times, each channel with a mean and scale of its own, and has
    a gradient for each. The paper's map is the maximum of |gradient| over these channels; `maps` keeps the sign of the
    largest. What moving a grey pixel would do is another question, because it moves all three at once.

    Attributes:
        channels: "largest" is the paper's, by what the network is given; "grey" is the gradient by the grey pixel.
    """

    title: ClassVar[str] = "Saliency"
    citation: ClassVar[str] = "Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3"
    shown: ClassVar[Shown] = "magnitude"
    channels: Literal["largest", "grey"] = "largest"

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed gradients [b, h, w]."""
        if self.channels == "grey":
            return pixel_gradient(model, images, target)[:, 0]
        return largest_channel(channel_gradient(model, images, target))
