"""Several labelled sets as one: their images under `set/image`, read from each set's own cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cxrlens.data.cache import ImageCache


class Pixels(Protocol):
    """Where images are read from."""

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """uint8 [b, size, size], in the order asked for."""
        ...


@dataclass(frozen=True, eq=False)
class JoinedCache:
    """The caches of several sets behind one.

    Attributes:
        parts: set → its cache; all of one size.
    """

    parts: Mapping[str, ImageCache]

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """A copy of some images, named `set/image`, in the order asked for: uint8 [b, size, size].

        Raises:
            UserError: an image that is not in its set.
        """
        split = [image.split("/", 1) for image in images]
        return np.concatenate([self.parts[name].batch([image]) for name, image in split])


def in_validation(name: str, patient: str, share: float, seed: int) -> bool:
    """Whether a patient is held out: by a hash of the name, so that more images move nobody.

    Args:
        name: of the set; equal ids in two sets are two patients.
        patient: the id.
        share: of the patients that is held out, in (0, 1).
        seed: of the draw.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
