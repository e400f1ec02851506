"""Grey histograms: how bright the places of an image are, and nothing of where they lie."""

from __future__ import annotations

import numpy as np


def grey_histogram(pixels: np.ndarray, bins: int = 16) -> np.ndarray:
    """The share of each image's pixels in each of `bins` equal ranges of grey, float [n, bins].

    Args:
        pixels: uint8 [n, size, size].
        bins: from 1 to 256.

    >>> grey_histogram(np.array([[[0, 127], [128, 255]]], dtype=np.uint8), bins=4).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    of_grey = np.arange(256) * bins // 256
    shares = np.empty((len(pixels), bins))
    for row, image in enumerate(pixels):
        shares[row] = np.bincount(of_grey[np.asarray(image).ravel()], minlength=bins) / image.size
    return shares
