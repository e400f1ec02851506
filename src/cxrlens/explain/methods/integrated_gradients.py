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
    """The gradient along the straight way from a baseline to the image, times the difference.

    A map sums to the logit of the image minus the baseline's, as closely as the steps allow. What equals the baseline
    gets nothing: with a black one, black pixels cannot be evidence. By the grey pixel: the sum over what the network
    is given in each channel is the same.

    Attributes:
        steps: points of the Gauss-Legendre rule.
        baseline: the grey that counts as no evidence, in [0, 1]; 0 is black.
    """

    title: ClassVar[str] = "Integrated gradients"
    citation: ClassVar[str] = "Sundararajan, Taly and Yan 2017, arXiv:1703.01365, eq. 1"
    trial: ClassVar[Mapping[str, int]] = {"steps": 1}
    steps: int = Field(default=32, ge=1)
    baseline: float = Field(default=0.0, ge=0, le=1)

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Shares of the logit's difference, [b, h, w]."""
        at, weights = np.polynomial.legendre.leggauss(self.steps)  # on [-1, 1]
        points, shares = (torch.from_numpy(each / 2).to(images) for each in (at + 1, weights))
        way = images - self.baseline
        total = torch.zeros_like(images)
        for some in groups(self.steps, len(images), self.batch):
            inner = self.baseline + points[some.start : some.stop].view(-1, 1, 1, 1, 1) * way  # [s, b, 1, h, w]
            wanted = None if target is None else target.repeat(len(some))
            gradients = pixel_gradient(model, inner.flatten(0, 1), wanted).unflatten(0, inner.shape[:2])
            total += torch.einsum("s,sbchw->bchw", shares[some.start : some.stop], gradients)
        return (way * total)[:, 0]  # eq. 1
