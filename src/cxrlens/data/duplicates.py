"""Images that are there twice: the same file, or the same exposure cropped, annotated or re-windowed.

Files with the same SHA-256 are identical. For the rest a perceptual hash (imagehash's `phash`, 64 bits) makes the
shortlist, which is mostly strangers: on the covid-chestxray collection of August 2020 (605 X-rays) 1,394 pairs are
within 12 bits, and 9 of those under different patient ids are one exposure. So each is laid over the other and
compared (`registration`): there those 9 score 0.84 to 1, and the next pair of different patients 0.64. The shortlist is
what misses copies: of 80 X-rays cropped by 2, 4 and 6% a side it keeps 100, 85 and 29%, and the comparison every one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from cxrlens.data.registration import Comparer

SAME = 0.8  # similarity from which two images are one exposure
NEAR = 12  # bits in which the hashes of a shortlisted pair may differ
MOST = 10_000  # pairs compared at most, nearest first: a minute or so
BLOCK = 1024
Block = tuple[np.ndarray, np.ndarray, np.ndarray]  # firsts, seconds and distances of pairs


@dataclass(frozen=True)
class Pair:
    """Two images that are one.

    Attributes:
        images: both, in file order.
        patients: theirs.
        labels: theirs; NaN is unknown.
        identical: whether the files are the same, byte for byte.
        similarity: correlation of aligned fine detail, 1 for identical files.
    """

    images: tuple[str, str]
    patients: tuple[str, str]
    labels: tuple[float, float]
    identical: bool
    similarity: float

    @property
    def two_ids(self) -> bool:
        """Whether the source calls them two patients."""
        return self.patients[0] != self.patients[1]

    @property
    def conflict(self) -> bool:
        """Whether one image is labelled positive here and negative there."""
        return {0.0, 1.0} == set(self.labels)


@dataclass(frozen=True)
class Duplicates:
    """What a search found.

    Attributes:
        pairs: in file order.
        shortlisted: pairs whose hashes are near.
        compared: how many of those were compared, nearest first; fewer only in large sets.
    """

    pairs: tuple[Pair, ...]
    shortlisted: int
    compared: int


def find_duplicates(
    table: pd.DataFrame,
    pixels: np.ndarray,
    index: Mapping[str, int],
    sha256: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
) -> Duplicates:
    """Finds the images of a cohort that are there twice.

    Args:
        table: the cohort's.
        pixels: uint8 [n, size, size].
        index: image → row of `pixels`; images that are not in it are not looked at.
        sha256: image → hash of its file.
        progress: told (images hashed, of how many), then (pairs compared, of how many).
    """
    known = table[table["image"].isin(list(index))]
    images = known["image"].tolist()
    copies: dict[str, list[str]] = {}
    for image in images:
        copies.setdefault(sha256.get(image) or image, []).append(image)
    identical = [pair for same in copies.values() for pair in pairwise(same)]
    single = [same[0] for same in copies.values()]

    rows = np.array([index[image] for image in single], dtype=int)
    bits = perceptual_hashes(pixels, rows, progress)
    first, second, shortlisted = near_pairs(bits)
    found: list[tuple[str, str, bool, float]] = [(one, other, True, 1.0) for one, other in identical]
    if len(first):
        used, place = np.unique(np.concatenate([first, second]), return_inverse=True)
        comparer = Comparer(pixels[rows[used]])
        similarity = comparer.similarity(place[: len(first)], place[len(first) :], progress)
        for k in np.flatnonzero(similarity >= SAME):
            found.append((single[first[k]], single[second[k]], False, float(min(similarity[k], 1.0))))

    patient = dict(zip(images, known["patient"], strict=True))
    label = dict(zip(images, known["label"], strict=True))
    order = {image: k for k, image in enumerate(images)}
    pairs = [
        Pair((one, other), (patient[one], patient[other]), (label[one], label[other]), same, score)
        for one, other, same, score in found
    ]
    pairs.sort(key=lambda pair: (order[pair.images[0]], order[pair.images[1]]))
    return Duplicates(tuple(pairs), shortlisted, len(first))


def perceptual_hashes(
    pixels: np.ndarray, rows: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """`phash` of the chosen rows, as 64 values of ±1 each: float32 [m, 64]."""
    bits = np.empty((len(rows), 64), dtype=np.float32)
    for k, row in enumerate(rows):
        bits[k] = np.where(imagehash.phash(Image.fromarray(pixels[row])).hash.ravel(), 1, -1)
        if progress is not None:
            progress(k + 1, len(rows))
    return bits


def near_pairs(bits: np.ndarray, near: int = NEAR, most: int = MOST) -> tuple[np.ndarray, np.ndarray, int]:
    """Pairs whose hashes differ in at most `near` bits: two int [m] (first below second), and how many there were.

    Args:
        bits: ±1, [n, 64].
        near: bits.
        most: pairs to give, the nearest first.
    """

    def blocks() -> Iterator[Block]:
        for start in range(0, len(bits), BLOCK):
            differ = (64 - bits[start : start + BLOCK] @ bits[start:].T) / 2
            one, other = np.nonzero(np.triu(differ <= near, k=1))
            yield one + start, other + start, differ[one, other]

    return nearest(blocks(), most)


def nearest(blocks: Iterable[Block], most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The pairs of all blocks with the smallest distances, and how many pairs there were; no more are kept at a time.

    Args:
        blocks: of pairs: firsts, seconds and distances, each [m].
        most: pairs to keep.
    """
    first, second, distance = (np.empty(0, dtype=int) for _ in range(3))
    total = 0
    for one, other, apart in blocks:
        total += len(one)
        first, second = np.concatenate([first, one]), np.concatenate([second, other])
        distance = np.concatenate([distance, apart.round().astype(int)])
        keep = np.sort(np.argsort(distance, kind="stable")[:most])
        first, second, distance = first[keep], second[keep], distance[keep]
    return first, second, total


def merge_groups(table: pd.DataFrame, pairs: Iterable[Pair]) -> dict[str, str]:
    """Patient → group, where patients who share an image are one; a group is called after its first patient.

    Args:
        table: the cohort's.
        pairs: from `find_duplicates`.
    """
    group = {patient: patient for patient in table["patient"]}
    order = {patient: k for k, patient in enumerate(group)}

    def root(patient: str) -> str:
        while group[patient] != patient:
            group[patient] = group[group[patient]]
            patient = group[patient]
        return patient

    for pair in pairs:
        low, high = sorted((root(pair.patients[0]), root(pair.patients[1])), key=order.__getitem__)
        group[high] = low
    return {patient: root(patient) for patient in group}
