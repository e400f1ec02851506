"""Where an X-ray bears letters or signs: thin, bright, small, and steeper than anything in a body.

No reading is done: a marker is what is much brighter than the opening of its surroundings by a disk wider than a
stroke, in pieces no larger than a word. Ribs and devices are smoother or larger. What is found is measured on the
phantom, whose letters are known (docs/audit.md).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

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
