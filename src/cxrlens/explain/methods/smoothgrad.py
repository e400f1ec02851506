"""SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825, section 3): the gradient, averaged over noisy copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from cxrlens.explain.base import DisplayedPart, channel_gradient, groups, largest_channel
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("smoothgrad")
class SmoothGrad(Method):
    """The mean of signed gradients, then the largest channel as in `saliency`; its magnitude is displayed.

    Every image gets the same noise, so its map does not depend on the other images of the batch. A noisy copy is still
    a grey image, but it is not clipped to [0, 1], because clipping would shift the copies' mean away from the image.

    Attributes:
        samples: number of noisy copies.
        noise: standard deviation of the noise, as a share of the image's range; the paper recommends 0.1 to 0.2.
        seed: seed of the noise.
    """

    title: ClassVar[str] = "SmoothGrad"
    citation: ClassVar[str] = "Smilkov et al. 2017, arXiv:1706.03825, section 3"
    displayed: ClassVar[DisplayedPart] = "magnitude"
    trial: ClassVar[Mapping[str, int]] = {"samples": 1}
    samples: int = Field(default=25, ge=1)
    noise: float = Field(default=0.15, ge=0)
    seed: int = 0

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed mean gradients [b, h, w]."""
        generator = torch.Generator().manual_seed(self.seed)
        spread = self.noise * (images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True))
        total = torch.zeros_like(model.prepare(images))
        for samples in groups(self.samples, len(images), self.batch):
            noise = torch.stack([torch.randn(images.shape[1:], generator=generator) for _ in samples]).to(images.device)
            noisy = images + spread * noise[:, None]  # [s, b, 1, h, w]
            targets = None if target is None else target.repeat(len(samples))
            gradients = channel_gradient(model, noisy.flatten(0, 1), targets)
            total += gradients.unflatten(0, (len(samples), len(images))).sum(0)
        return largest_channel(total / self.samples)
