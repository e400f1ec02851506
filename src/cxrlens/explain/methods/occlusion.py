"""Occlusion (Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2): what the logit loses when a window is covered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from cxrlens.errors import UserError
from cxrlens.explain.base import groups, select
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("occlusion")
class Occlusion(Method):
    """At each pixel the mean fall of the logit over the windows that cover it; needs no gradient.

    A covered image is one that the network never saw in training, and a window shows no evidence that another part of
    the image holds as well.

    Attributes:
        window: side of the covering square, in pixels; an eighth of the image's shorter side where none is given.
        stride: pixels from one window to the next; half a window where none is given. The last one ends at the rim.
        fill: the grey of the window, in [0, 1], or the image's mean.
    """

    title: ClassVar[str] = "Occlusion"
    citation: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2"
    trial: ClassVar[Mapping[str, int]] = {"window": 32, "stride": 32}
    window: int | None = Field(default=None, ge=1)
    stride: int | None = Field(default=None, ge=1)
    fill: float | Literal["mean"] = "mean"

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Mean falls of the logit, [b, h, w]."""
        height, width = images.shape[2:]
        window = self.window or max(1, min(height, width) // 8)
        stride = self.stride or max(1, window // 2)
        if window > min(height, width) or stride > window:
            raise UserError(
                f"occlusion needs a window within the {height} × {width} image and a stride within the window, so that "
                f"every pixel is covered; got window {window}, stride {stride}"
            )
        corners = [(top, left) for top in _starts(height, window, stride) for left in _starts(width, window, stride)]
        fill = images.mean((1, 2, 3)).view(-1, 1, 1, 1) if self.fill == "mean" else self.fill
        total, covered = torch.zeros_like(images[:, 0]), torch.zeros_like(images[0, 0])
        with torch.no_grad():
            whole = select(model(images), target)
            for some in groups(len(corners), len(images), self.batch):
                variants = images.repeat(len(some), 1, 1, 1).unflatten(0, (len(some), len(images)))
                for variant, number in zip(variants, some, strict=True):
                    top, left = corners[number]
                    variant[:, :, top : top + window, left : left + window] = fill
                wanted = None if target is None else target.repeat(len(some))
                falls = whole - select(model(variants.flatten(0, 1)), wanted).unflatten(0, variants.shape[:2])
                for fall, number in zip(falls, some, strict=True):
                    top, left = corners[number]
                    total[:, top : top + window, left : left + window] += fall[:, None, None]
                    covered[top : top + window, left : left + window] += 1
        return total / covered


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Where windows begin along a side; the last one ends at its end.

    >>> _starts(10, 4, 3), _starts(10, 4, 4)
    ([0, 3, 6], [0, 4, 6])
    """
    return [*range(0, side - window, stride), side - window]
