"""Images with a part taken out: what is put there says nothing of the image it came from."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from cxrlens.audit.maps.faithfulness import impute


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


# Grey histograms: how bright the places of an image are, and nothing of where they lie.


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


# Where an X-ray bears letters or signs: thin, bright, small, and steeper than anything in a body.
#
# No reading is done: a marker is what is much brighter than the opening of its surroundings by a disk wider than a
# stroke, in pieces no larger than a word. Ribs and devices are smoother or larger. What is found is measured on the
# phantom, whose letters are known (docs/audit.md).

STROKE = 1 / 40  # of the side: strokes are thinner
CONTRAST = 0.22  # of the grey range, above the surroundings
LARGEST = 0.02  # share of the image that one word may take
JOIN = 1 / 45  # of the side: letters nearer than that are one word


def letters(images: np.ndarray) -> np.ndarray:
    """Bool [n, h, w]: words and signs, with a margin around them.

    Args:
        images: float [n, h, w] in [0, 1].
    """
    return np.stack([_letters(image) for image in images]) if len(images) else np.zeros(images.shape, bool)


def _letters(image: np.ndarray) -> np.ndarray:
    side = max(image.shape)
    reach = max(3, 2 * round(side * STROKE / 2) + 1)
    bright = image - ndimage.grey_opening(image, (reach, reach))
    dark = ndimage.grey_closing(image, (reach, reach)) - image  # letters cut out of a bright box
    strokes = (bright > CONTRAST) | (dark > 1.5 * CONTRAST)
    near = max(1, round(side * JOIN))
    words = ndimage.binary_closing(np.pad(strokes, near), np.ones((near, 2 * near + 1)))[near:-near, near:-near]
    labels, _ = ndimage.label(words | strokes, np.ones((3, 3)))
    found = np.zeros(image.shape, bool)
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[place] == number
        tall, wide = inside.shape
        ink = strokes[place][inside].sum()
        if ink >= 3 and tall * wide <= LARGEST * image.size and tall <= side / 6:
            found[place] |= inside
    return ndimage.binary_dilation(found, np.ones((3, 3)), iterations=max(1, round(side / 112)))
