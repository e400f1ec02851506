"""Occlusion (Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2): the fall of the logit if a window is covered."""

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
    """The mean fall of the logit over all windows that cover a pixel; no gradient is needed.

    The network never saw a covered image in training. If another part of the image holds the same evidence, covering
    one of them changes little.

    Attributes:
        window: side of the covering square, in pixels; None is an eighth of the image's shorter side.
        stride: pixels from one window to the next; None is half a window. The last window ends at the image's edge.
        fill: grey value of the window, in [0, 1], or "mean" for the image's mean.
    """

    title: ClassVar[str] = "Occlusion"
    citation: ClassVar[str] = "Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2"
    trial: ClassVar[Mapping[str, int]] = {"window": 32, "stride": 32}
    window: int | None = Field(default=None, ge=1)
    stride: int | None = Field(default=None, ge=1)
    fill: float | Literal["mean"] = "mean"

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """The mean fall of the logit at each pixel, [b, h, w]."""
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
            logits = select(model(images), target)
            for windows in groups(len(corners), len(images), self.batch):
                variants = images.repeat(len(windows), 1, 1, 1).unflatten(0, (len(windows), len(images)))
                for variant, number in zip(variants, windows, strict=True):
                    top, left = corners[number]
                    variant[:, :, top : top + window, left : left + window] = fill
                targets = None if target is None else target.repeat(len(windows))
                falls = logits - select(model(variants.flatten(0, 1)), targets).unflatten(0, variants.shape[:2])
                for fall, number in zip(falls, windows, strict=True):
                    top, left = corners[number]
                    total[:, top : top + window, left : left + window] += fall[:, None, None]
                    covered[top : top + window, left : left + window] += 1
        return total / covered


def _starts(side: int, window: int, stride: int) -> list[int]:
    """The first pixel of each window along a side; the last window ends with the side.

    >>> _starts(10, 4, 3), _starts(10, 4, 4)
    ([0, 3, 6], [0, 4, 6])
    """
    return [*range(0, side - window, stride), side - window]
