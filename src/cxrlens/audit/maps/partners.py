"""Another image for each image: what a map is compared with to see what it owes to its own image."""

from __future__ import annotations

import numpy as np

from cxrlens.errors import UserError


def partners(patients: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A derangement: the position of another image for each image, each used once, int [n].

    Patients are shuffled, their images laid side by side, and the row is shifted by the most images that any patient
    has. So no image gets one of its own patient, unless that patient has more than half of all.

    Args:
        patients: an identifier for each image, [n].
        generator: the randomness.

    Raises:
        UserError: there is one image only.
    """
    count = len(patients)
    if count < 2:
        raise UserError(f"a map is compared with another image's, which needs at least 2 images; got {count}")
    _, of_image, sizes = np.unique(np.asarray(patients).astype(str), return_inverse=True, return_counts=True)
    place = generator.permutation(len(sizes))[of_image]
    row = np.lexsort((generator.random(count), place))
    shift = int(sizes.max()) if sizes.max() < count else 1
    other = np.empty(count, int)
    other[row] = np.roll(row, -shift)
    return other
