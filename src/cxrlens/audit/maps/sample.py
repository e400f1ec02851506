"""Choices of images for the maps: a sample of the validation images, and a different image for each image."""

from __future__ import annotations

import numpy as np

from cxrlens.data.seeds import generator
from cxrlens.errors import UserError


def sample(labels: np.ndarray, patients: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Positions of a sample of images, int [m]: half of each class, and every patient once before any patient twice.

    Args:
        labels: whether each image is positive, bool [n].
        patients: patient of each image, [n].
        most: largest number of images.
        seed: seed of the random choice.

    >>> labels = np.array([True, True, True, False])
    >>> rows = sample(labels, np.array(["a", "a", "b", "c"]), 3, seed=0)
    >>> len(rows), int(labels[rows].sum()), 3 in rows, 2 in rows
    (3, 2, True, True)
    """
    rng = generator(seed, 5)
    positive, negative = (_in_turn(rng.permutation(np.flatnonzero(rows)), patients) for rows in (labels, ~labels))
    count = min(len(positive), max(most // 2, most - len(negative)))
    return np.sort(np.concatenate([positive[:count], negative[: most - count]]))


def _in_turn(rows: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The same rows: the first of every patient, then the second of every patient, and so on."""
    counts: dict[str, int] = {}
    turns = []
    for row in rows:
        counts[patients[row]] = counts.get(patients[row], 0) + 1
        turns.append(counts[patients[row]])
    return rows[np.argsort(turns, kind="stable")]


def partners(patients: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The position of a different image for each image (a derangement), int [n].

    The images are ordered by patient, in a random order of the patients, and shifted by the largest number of images of
    a patient. So no image gets an image of its own patient, unless this patient has more than half of all images.

    Args:
        patients: patient identifier of each image, [n].
        generator: random number generator.

    Raises:
        UserError: there are fewer than 2 images.
    """
    count = len(patients)
    if count < 2:
        raise UserError(f"comparing a map with that of another image needs at least 2 images; got {count}")
    _, of_image, sizes = np.unique(np.asarray(patients).astype(str), return_inverse=True, return_counts=True)
    place = generator.permutation(len(sizes))[of_image]
    row = np.lexsort((generator.random(count), place))
    shift = int(sizes.max()) if sizes.max() < count else 1
    other = np.empty(count, int)
    other[row] = np.roll(row, -shift)
    return other
