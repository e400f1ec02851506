"""Which validation images the maps are judged on where not on all."""

from __future__ import annotations

import numpy as np

from cxrlens.data.seeds import generator


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
