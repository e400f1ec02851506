"""Random generators with integer keys, such as (seed, fold, epoch, image): a draw depends only on its keys."""

from __future__ import annotations

import numpy as np


def generator(*keys: int) -> np.random.Generator:
    """The random generator of some keys: the same on every machine and in any order of calls.

    Args:
        keys: integers in [0, 2**32). Other keys, fewer or more keys or another order give other draws.

    >>> bool(generator(42, 0, 3).random() == generator(42, 0, 3).random() != generator(42, 3, 0).random())
    True
    """
    assert all(0 <= key < 2**32 for key in keys), f"keys are whole numbers in [0, 2**32); got {keys}"
    # SeedSequence pads with zeros, so (1,) and (1, 0) would be one stream: the number of keys goes first.
    return np.random.default_rng(np.random.SeedSequence([len(keys), *(int(key) for key in keys)]))
