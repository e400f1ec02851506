"""Images of one set that are in another too: what a shortlist by perceptual hash and a comparison find across the two.

The same two steps as within one set (`duplicates`), but only pairs across are formed: two images of one set never take
the place of one that matters in a shortlist of bounded length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cxrlens.data.cache import ImageCache
from cxrlens.data.duplicates import BLOCK, MOST, NEAR, SAME, Block, nearest, perceptual_hashes
from cxrlens.data.registration import Comparer


@dataclass(frozen=True)
class Overlap:
    """What a search found.

    Attributes:
        pairs: an image of the one set and an image of the other that are one exposure.
        shortlisted: pairs whose hashes are near.
        compared: how many of those were compared, nearest first; fewer only in large sets.
    """

    pairs: tuple[tuple[str, str], ...]
    shortlisted: int
    compared: int


def find_overlap(one: ImageCache, other: ImageCache, progress: Callable[[int, int], None] | None = None) -> Overlap:
    """Finds the images that two sets share.

    Args:
        one: decoded at some size.
        other: decoded at the same size.
        progress: told (images hashed, of how many), then (pairs compared, of how many).
    """
    bits, others = (perceptual_hashes(each.pixels, np.arange(len(each.index)), progress) for each in (one, other))
    first, second, shortlisted = near_across(bits, others)
    if not len(first):
        return Overlap((), shortlisted, 0)
    used, place = np.unique(first, return_inverse=True)
    used_other, place_other = np.unique(second, return_inverse=True)
    comparer = Comparer(np.concatenate([one.pixels[used], other.pixels[used_other]]))
    similarity = comparer.similarity(place, len(used) + place_other, progress)
    names, names_other = list(one.index), list(other.index)
    found = [(names[first[k]], names_other[second[k]]) for k in np.flatnonzero(similarity >= SAME)]
    return Overlap(tuple(found), shortlisted, len(first))


def near_across(
    bits: np.ndarray, others: np.ndarray, near: int = NEAR, most: int = MOST
) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs across two sets whose hashes differ in at most `near` bits: two int [m], and how many there were.

    Args:
        bits: ±1, [n, 64].
        others: ±1, [k, 64].
        near: bits.
        most: pairs to give, the nearest first.
    """

    def blocks() -> Iterator[Block]:
        for start in range(0, len(others), BLOCK):
            differ = (64 - bits @ others[start : start + BLOCK].T) / 2
            row, column = np.nonzero(differ <= near)
            yield row, column + start, differ[row, column]

    return nearest(blocks(), most)
