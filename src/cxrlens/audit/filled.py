"""Images with a part taken out: what is put there says nothing of the image it came from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.maps.impute import impute


def filled(pixels: Tensor, masks: np.ndarray, grey: float) -> Tensor:
    """A copy of images with one grey where the masks are true.

    Args:
        pixels: float [n, 1, h, w] in [0, 1].
        masks: bool [n, h, w], or [h, w] for all.
        grey: in [0, 1].
    """
    where = torch.from_numpy(np.broadcast_to(masks, (len(pixels), *pixels.shape[2:])).copy())[:, None]
    return torch.where(where, torch.tensor(grey, dtype=pixels.dtype), pixels)


def imputed(pixels: Tensor, masks: np.ndarray) -> Tensor:
    """A copy of images filled from what is around the masks (`maps.impute`, without noise).

    Args:
        pixels: float [n, 1, h, w] in [0, 1].
        masks: bool [n, h, w], or [h, w] for all.
    """
    found = impute(pixels[:, 0].numpy(), masks, 0.0).astype(np.float32).clip(0, 1)
    return torch.from_numpy(found)[:, None]


def mean_grey(pixels: Tensor) -> float:
    """Of all images together, so that no image's own brightness is left in the hole."""
    return float(pixels.mean())


def corners(size: int, width: float, height: float) -> np.ndarray:
    """Bool [size, size]: the four corners, each a rectangle of these shares of the side."""
    mask = np.zeros((size, size), bool)
    rows, columns = round(height * size), round(width * size)
    for top in (slice(0, rows), slice(size - rows, size)):
        for side in (slice(0, columns), slice(size - columns, size)):
            mask[top, side] = True
    return mask


def border(size: int, width: float) -> np.ndarray:
    """Bool [size, size]: a frame of this share of the side."""
    mask, reach = np.ones((size, size), bool), max(1, round(width * size))
    mask[reach:-reach, reach:-reach] = False
    return mask
