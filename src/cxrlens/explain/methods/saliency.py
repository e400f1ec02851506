"""Saliency (Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3): the gradient of the logit."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from cxrlens.explain.base import DisplayedPart, channel_gradient, largest_channel, pixel_gradient
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("saliency")
class Saliency(Method):
    """The raw signed gradient; its magnitude is displayed.

    The X-ray is grey, but the network gets it as three channels, each normalised with its own mean and scale, and each
    has a gradient. The paper's map is the maximum of |gradient| over these channels; `maps` keeps the sign of the
    largest. The gradient with respect to a grey pixel is another quantity: the pixel changes all three channels.

    Attributes:
        channels: "largest": the largest gradient over the network's input channels, as in the paper; "grey": the
            gradient with respect to the grey pixel.
    """

    title: ClassVar[str] = "Saliency"
    citation: ClassVar[str] = "Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, section 3"
    displayed: ClassVar[DisplayedPart] = "magnitude"
    channels: Literal["largest", "grey"] = "largest"

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed gradients [b, h, w]."""
        if self.channels == "grey":
            return pixel_gradient(model, images, target)[:, 0]
        return largest_channel(channel_gradient(model, images, target))
