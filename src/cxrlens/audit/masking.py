"""Masks of parts of an image, images with such parts filled in, and grey histograms."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from cxrlens.audit.maps.faithfulness import impute


def filled(pixels: Tensor, masks: np.ndarray, grey: float) -> Tensor:
    """A copy of the images with one grey where the masks are true.

    Args:
        pixels: images, float [n, 1, h, w] in [0, 1].
        masks: pixels to fill, bool [n, h, w], or [h, w] for all images.
        grey: grey value of the fill, in [0, 1].
    """
    where = torch.from_numpy(np.broadcast_to(masks, (len(pixels), *pixels.shape[2:])).copy())[:, None]
    return torch.where(where, torch.tensor(grey, dtype=pixels.dtype), pixels)


def imputed(pixels: Tensor, masks: np.ndarray) -> Tensor:
    """A copy of the images with the masks filled in from their surroundings (`faithfulness.impute`, without noise).

    Args:
        pixels: images, float [n, 1, h, w] in [0, 1].
        masks: pixels to fill, bool [n, h, w], or [h, w] for all images.
    """
    images = impute(pixels[:, 0].numpy(), masks, 0.0).astype(np.float32).clip(0, 1)
    return torch.from_numpy(images)[:, None]


def mean_grey(pixels: Tensor) -> float:
    """Mean grey of all images together, so that the fill does not depend on an image's own brightness."""
    return float(pixels.mean())


def corners(size: int, width: float, height: float) -> np.ndarray:
    """Mask of the four corners, bool [size, size]; each is a rectangle of these fractions of the side."""
    mask = np.zeros((size, size), bool)
    rows, columns = round(height * size), round(width * size)
    for top in (slice(0, rows), slice(size - rows, size)):
        for left in (slice(0, columns), slice(size - columns, size)):
            mask[top, left] = True
    return mask


def border(size: int, width: float) -> np.ndarray:
    """Mask of a frame of this fraction of the side, bool [size, size]."""
    mask, pixels = np.ones((size, size), bool), max(1, round(width * size))
    mask[pixels:-pixels, pixels:-pixels] = False
    return mask


def grey_histogram(pixels: np.ndarray, bins: int = 16) -> np.ndarray:
    """The share of each image's pixels in each of `bins` equal ranges of grey, float [n, bins].

    A histogram shows how bright an image is, but not where.

    Args:
        pixels: images, uint8 [n, size, size].
        bins: number of ranges, from 1 to 256.

    >>> grey_histogram(np.array([[[0, 127], [128, 255]]], dtype=np.uint8), bins=4).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    of_grey = np.arange(256) * bins // 256
    shares = np.empty((len(pixels), bins))
    for row, image in enumerate(pixels):
        shares[row] = np.bincount(of_grey[np.asarray(image).ravel()], minlength=bins) / image.size
    return shares


# Letters and signs on an X-ray are thin, bright, small, and have steeper edges than anything in the body.
#
# The text is not read. A mark is what is much brighter than a grey opening of its surroundings by a square wider than a
# stroke, in pieces no larger than a word. Ribs and devices are smoother or larger. The phantom, whose letters are
# known, shows how many are found (docs/audit.md).

STROKE = 1 / 40  # width of the widest stroke, as a fraction of the side
CONTRAST = 0.22  # smallest contrast to the surroundings, as a fraction of the grey range
LARGEST = 0.02  # largest area of a word, as a fraction of the image
JOIN = 1 / 45  # largest gap between the letters of a word, as a fraction of the side


def letters(images: np.ndarray) -> np.ndarray:
    """Masks of words and signs with a margin around them, bool [n, h, w].

    Args:
        images: images, float [n, h, w] in [0, 1].
    """
    return np.stack([_letters(image) for image in images]) if len(images) else np.zeros(images.shape, bool)


def _letters(image: np.ndarray) -> np.ndarray:
    side = max(image.shape)
    width = max(3, 2 * round(side * STROKE / 2) + 1)
    bright = image - ndimage.grey_opening(image, (width, width))
    dark = ndimage.grey_closing(image, (width, width)) - image  # letters cut out of a bright box
    strokes = (bright > CONTRAST) | (dark > 1.5 * CONTRAST)
    gap = max(1, round(side * JOIN))
    words = ndimage.binary_closing(np.pad(strokes, gap), np.ones((gap, 2 * gap + 1)))[gap:-gap, gap:-gap]
    labels, _ = ndimage.label(words | strokes, np.ones((3, 3)))
    mask = np.zeros(image.shape, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        word = labels[box] == number
        height, width = word.shape
        stroke_pixels = strokes[box][word].sum()
        if stroke_pixels >= 3 and height * width <= LARGEST * image.size and height <= side / 6:
            mask[box] |= word
    return ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=max(1, round(side / 112)))
