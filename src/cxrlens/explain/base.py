"""What the attribution methods share: their result, and the logit that they explain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cxrlens.errors import UserError
from cxrlens.explain.display import Interpolation, enlarge
from cxrlens.models.classifier import Classifier

Shown = Literal["positive", "magnitude", "signed"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Raw maps of a batch of images, before any scaling for the eye.

    Attributes:
        maps: float32 [b, h', w'] on the CPU, signed: positive speaks for the target's logit. At the method's own
            resolution: an image's pixels, or the cells of a layer's map.
        method: its name.
        layer: the layer whose map was explained; None for a method that needs none.
        target: the explained logit's index for each image, [b].
        size: (h, w) of the images.
        shown: what of the maps the method's paper shows: their positive part, their magnitude, or both signs.
        margin: cells (rows, columns) that the map lacks on each side, where a convolution without padding made it.
        warning: what a reader of the maps must know; empty where there is nothing.
    """

    maps: Tensor
    method: str
    layer: str | None
    target: tuple[int, ...]
    size: tuple[int, int]
    shown: Shown
    margin: tuple[int, int] = (0, 0)
    warning: str = ""

    def __repr__(self) -> str:
        count, rows, columns = self.maps.shape
        of = f"of {self.layer}, " if self.layer else ""
        low, high = self.maps.aminmax()
        return (
            f"Attribution by {self.method}: {count} map{'' if count == 1 else 's'} of {rows} x {columns} {of}"
            f"for images of {self.size[0]} x {self.size[1]}, values from {low:.3g} to {high:.3g}"
        )

    @property
    def evidence(self) -> Tensor:
        """float32 [b, h', w']: the maps as the method's paper shows them; all zeros where nothing speaks for it."""
        if self.shown == "signed":
            return self.maps
        return self.maps.abs() if self.shown == "magnitude" else self.maps.clamp(min=0)

    def enlarged(self, interpolation: Interpolation = "bicubic", margin: bool = True) -> Tensor:
        """The evidence at the images' size, float32 [b, h, w].

        Args:
            interpolation: between the cells of a coarse map; "bicubic" is the paper's.
            margin: whether each cell goes where it was seen. Without it a map that lacks its rim is stretched over the
                whole image, as the paper's was.
        """
        evidence = enlarge(self.evidence, self.size, interpolation, self.margin if margin else (0, 0))
        return evidence if self.shown == "signed" else evidence.clamp(min=0)  # bicubic overshoots


def select(logits: Tensor, target: Tensor | None) -> Tensor:
    """The explained logit of each image, [b].

    Args:
        logits: [b], or [b, k] of a network with several outputs.
        target: index of each image's logit, [b]; None where there is only one.

    Raises:
        UserError: there are several and none was named, or one that is not there was.
    """
    outputs = logits[:, None] if logits.ndim == 1 else logits
    count = outputs.shape[1]
    if target is None and count > 1:
        raise UserError(f"target is needed: this model gives {count} logits an image, 0 to {count - 1}; say which")
    if target is None:
        return outputs[:, 0]
    if int(target.max()) >= count:
        raise UserError(f"target must be below {count}, the logits of this model; got {int(target.max())}")
    return outputs.gather(1, target[:, None])[:, 0]


def pixel_gradient(model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
    """Gradient of the logit by each grey pixel, [b, 1, h, w]."""
    images = images.detach().requires_grad_()
    return torch.autograd.grad(select(model(images), target).sum(), images)[0]


def channel_gradient(model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
    """Gradient of the logit by each value that the backbone is given, [b, 3, h, w]."""
    given = model.prepare(images).detach().requires_grad_()
    return torch.autograd.grad(select(model.logits(model.backbone(given)), target).sum(), given)[0]


def largest_channel(gradients: Tensor) -> Tensor:
    """At each pixel the signed gradient of the channel where it is largest: [b, c, h, w] → [b, h, w].

    Its magnitude is Simonyan's map, the maximum of |gradient| over the channels.
    """
    return gradients.gather(1, gradients.abs().argmax(1, keepdim=True))[:, 0]


def groups(count: int, images: int, batch: int) -> Iterator[range]:
    """Splits `count` variants of each of `images` images: at most `batch` of them go through the network at once."""
    together = max(1, batch // images)
    for start in range(0, count, together):
        yield range(start, min(start + together, count))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; every module is put back in the mode that it was in, be they mixed."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
