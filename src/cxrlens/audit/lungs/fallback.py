"""Where nothing says where the lungs are: the same two boxes in every image, and how much they are worth."""

from __future__ import annotations

import numpy as np

from cxrlens.audit.lungs.regions import Lungs

# Left, top, width, height as fractions: the mean boxes around the right and the left lung field of the built-in
# phantom, which no real X-ray had a part in.
BOXES = ((0.10, 0.12, 0.36, 0.78), (0.56, 0.12, 0.34, 0.80))

WORTH = (
    "the same two boxes in every image, since nothing says where these lungs are; on 278 images of the paper's cohort "
    "their overlap with the radiologists' boxes (intersection over union) is {share}"
)
MEASURED = "0.67 (mean; 0.50 to 0.81 in nine of ten)"


def fallback(images: int, size: int) -> Lungs:
    """The two boxes, for so many images."""
    mask = np.zeros((size, size), bool)
    for x, y, width, height in BOXES:
        mask[round(y * size) : round((y + height) * size), round(x * size) : round((x + width) * size)] = True
    masks = np.broadcast_to(mask, (images, size, size)).copy()
    return Lungs(masks, np.ones(images, bool), "fallback", WORTH.format(share=MEASURED))


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair of masks, bool [n, h, w] each → [n]; NaN where both are empty."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return np.divide(both, either, out=np.full(len(a), np.nan), where=either > 0)
