"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365, eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cxrlens.explain.base import groups, pixel_gradient
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("integrated_gradients")
class IntegratedGradients(Method):
    """The mean gradient along the straight path from a baseline to the image, times their difference.

    A map sums to the image's logit minus the baseline's, up to the error of the integration. A pixel that equals the
    baseline gets 0: with a black baseline, black pixels cannot be evidence. The gradient is with respect to the grey
    pixel, which equals the sum over the network's three input channels.

    Attributes:
        steps: number of points of the Gauss-Legendre rule.
        baseline: grey value that counts as no evidence, in [0, 1]; 0 is black.
    """

    title: ClassVar[str] = "Integrated gradients"
    citation: ClassVar[str] = "Sundararajan, Taly and Yan 2017, arXiv:1703.01365, eq. 1"
    trial: ClassVar[Mapping[str, int]] = {"steps": 1}
    steps: int = Field(default=32, ge=1)
    baseline: float = Field(default=0.0, ge=0, le=1)

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Each pixel's part of the difference between the two logits, [b, h, w]."""
        nodes, node_weights = np.polynomial.legendre.leggauss(self.steps)  # on [-1, 1]
        points, weights = (torch.from_numpy(values / 2).to(images) for values in (nodes + 1, node_weights))
        difference = images - self.baseline
        total = torch.zeros_like(images)
        for steps in groups(self.steps, len(images), self.batch):
            part = slice(steps.start, steps.stop)
            inner = self.baseline + points[part].view(-1, 1, 1, 1, 1) * difference  # [s, b, 1, h, w]
            targets = None if target is None else target.repeat(len(steps))
            gradients = pixel_gradient(model, inner.flatten(0, 1), targets).unflatten(0, inner.shape[:2])
            total += torch.einsum("s,sbchw->bchw", weights[part], gradients)
        return (difference * total)[:, 0]  # eq. 1
