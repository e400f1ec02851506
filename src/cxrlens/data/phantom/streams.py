"""Named streams of random numbers: each part of a phantom draws from its own, so that no part can disturb another.

So the label cannot leak through the anatomy, the exposure or the noise: their streams never see it.
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(name: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on nothing but `name` and `numbers` (such as seed, patient and image).

    >>> a, b = stream("noise", 0, 3, 1), stream("noise", 0, 3, 1)
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])
