"""Colours: the directions in which those of photographs vary (lucid), and keras-vis' way to show any range."""

from __future__ import annotations

import torch
from torch import Tensor

# lucid's square root of the colour covariance of ImageNet's photographs: rows are red, green, blue; columns are
# brightness, blue-to-red and green-to-magenta.
ROOT = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
CORRELATION = ROOT / ROOT.norm(dim=0).max()


def correlated(picture: Tensor) -> Tensor:
    """Decorrelated channels [b, 3, h, w] as red, green and blue: a step in brightness is the longest."""
    return torch.einsum("ij,bjhw->bihw", CORRELATION.to(picture), picture)


def standardised(image: Tensor, deviation: float = 0.1, epsilon: float = 1e-7) -> Tensor:
    """Each picture [3, h, w] less its mean, by its standard deviation, × `deviation`, + 0.5, clipped to [0, 1]."""
    mean = image.mean((1, 2, 3), keepdim=True)
    spread = image.std((1, 2, 3), keepdim=True, correction=0)
    return ((image - mean) / (spread + epsilon) * deviation + 0.5).clamp(0, 1)
