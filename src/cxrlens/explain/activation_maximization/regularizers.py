"""keras-vis 0.4.1's two priors, for each picture: total variation and the L6 norm, both by the number of values."""

from __future__ import annotations

import torch
from torch import Tensor


def total_variation(images: Tensor) -> Tensor:
    """Sum of squared steps to the pixel below and to the right, by C·H·W (Mahendran and Vedaldi 2016, beta 2).

    Args:
        images: [b, c, h, w], in the range in which they are optimised.

    Returns:
        [b]. The last row and column only end steps.
    """
    here = images[:, :, :-1, :-1]
    down, right = images[:, :, 1:, :-1] - here, images[:, :, :-1, 1:] - here
    return (down.square() + right.square()).sum((1, 2, 3)) / images[0].numel()


def lp_norm(images: Tensor) -> Tensor:
    """The L6 norm (sum |x|^6)^(1/6) by C·H·W.

    Args:
        images: [b, c, h, w], in the range in which they are optimised.

    Returns:
        [b].
    """
    # In double precision: PyTorch sums one by one, and 150,528 sixth powers lose four digits in single.
    norm = torch.linalg.vector_norm(images, 6, (1, 2, 3), dtype=torch.float64)
    return norm.to(images.dtype) / images[0].numel()
