"""Which validation images the maps are judged on where not on all."""

from __future__ import annotations

import numpy as np

from cxrlens.data.seeds import generator
from cxrlens.errors import UserError


def sample(labels: np.ndarray, patients: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Positions of at most so many images, int [m]: both classes alike, each patient's first before any second.

    Args:
        labels: bool [n].
        patients: [n].
        most: how many.
        seed: of the choice.

    >>> labels = np.array([True, True, True, False])
    >>> rows = sample(labels, np.array(["a", "a", "b", "c"]), 3, seed=0)
    >>> len(rows), int(labels[rows].sum()), 3 in rows, 2 in rows
    (3, 2, True, True)
    """
    rng = generator(seed, 5)
    sides = [_in_turn(rng.permutation(np.flatnonzero(side)), patients) for side in (labels, ~labels)]
    positive = min(len(sides[0]), max(most // 2, most - len(sides[1])))
    return np.sort(np.concatenate([sides[0][:positive], sides[1][: most - positive]]))


def _in_turn(rows: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The same rows, every patient's first, then every second, and so on."""
    seen: dict[str, int] = {}
    turns = []
    for row in rows:
        seen[patients[row]] = seen.get(patients[row], 0) + 1
        turns.append(seen[patients[row]])
    return rows[np.argsort(turns, kind="stable")]


# Another image for each image: what a map is compared with to see what it owes to its own image.


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
