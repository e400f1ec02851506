"""Finds duplicated images: the same file, or the same exposure cropped, annotated or re-windowed.

Files with the same SHA-256 are identical. A perceptual hash (imagehash's `phash`, 64 bits) shortlists other pairs. Most
of these are different people: in the covid-chestxray collection of August 2020 (605 X-rays) 1,394 pairs are within 12
bits, and only 9 of the pairs under different patient ids are one exposure. So `Comparer` aligns the images of each pair
and compares them: those 9 pairs score 0.84 to 1, and the next pair of different patients scores 0.64. Missed copies are
missed by the shortlist: of 80 X-rays cropped by 2, 4 and 6% a side it keeps 100, 85 and 29%; the comparison finds all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from cxrlens.data.cache import ImageCache
from cxrlens.data.registration import Comparer

SAME = 0.8  # least similarity of two images of one exposure
MOST_BITS = 12  # bits in which the hashes of a shortlisted pair may differ
MOST_PAIRS = 10_000  # pairs that are compared at most, nearest first: about a minute
BLOCK = 1024
Block = tuple[np.ndarray, np.ndarray, np.ndarray]  # first indices, second indices and distances of pairs


@dataclass(frozen=True)
class Pair:
    """Two images of one exposure.

    Attributes:
        images: names of both images, in file order.
        patients: patients of both images.
        labels: labels of both images, 1, 0 or NaN (unknown).
        identical: whether the two files are the same byte for byte.
        similarity: correlation of the aligned fine detail; 1 for identical files.
    """

    images: tuple[str, str]
    patients: tuple[str, str]
    labels: tuple[float, float]
    identical: bool
    similarity: float

    @property
    def two_ids(self) -> bool:
        """Whether the images have two patient ids."""
        return self.patients[0] != self.patients[1]

    @property
    def conflict(self) -> bool:
        """Whether one image is labelled positive and the other negative."""
        return {0.0, 1.0} == set(self.labels)


@dataclass(frozen=True)
class Duplicates:
    """Result of a search for duplicates in a cohort.

    Attributes:
        pairs: pairs of images of one exposure, in file order.
        shortlisted: number of pairs with similar hashes.
        compared: number of shortlisted pairs that were compared, nearest first; less than `shortlisted` only in large
            sets.
        groups: patient → group. Patients who share an image form one group, named after its first patient.
    """

    pairs: tuple[Pair, ...]
    shortlisted: int
    compared: int
    groups: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The search's result as plain values; patients, labels and groups follow from the table."""
        pairs = [
            {"images": list(pair.images), "identical": pair.identical, "similarity": pair.similarity}
            for pair in self.pairs
        ]
        return {"pairs": pairs, "shortlisted": self.shortlisted, "compared": self.compared}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], table: pd.DataFrame) -> Self:
        """The result that `to_json` wrote, with the patients and labels of the table.

        Args:
            record: plain values of `to_json`.
            table: table of the cohort that was searched.

        Raises:
            KeyError, TypeError, ValueError: the record is damaged or of another cohort.
        """
        matches = [
            (str(one), str(other), bool(row["identical"]), float(row["similarity"]))
            for row in record["pairs"]
            for one, other in [row["images"]]
        ]
        return cls._of(table, matches, int(record["shortlisted"]), int(record["compared"]))

    @classmethod
    def _of(
        cls, table: pd.DataFrame, matches: Iterable[tuple[str, str, bool, float]], shortlisted: int, compared: int
    ) -> Self:
        images = table["image"].tolist()
        patient = dict(zip(images, table["patient"], strict=True))
        label = dict(zip(images, table["label"], strict=True))
        order = {image: k for k, image in enumerate(images)}
        pairs = [
            Pair((one, other), (patient[one], patient[other]), (label[one], label[other]), identical, similarity)
            for one, other, identical, similarity in matches
        ]
        pairs.sort(key=lambda pair: (order[pair.images[0]], order[pair.images[1]]))
        return cls(tuple(pairs), shortlisted, compared, merge_groups(table, pairs))


def find_duplicates(
    table: pd.DataFrame, cache: ImageCache, progress: Callable[[int, int], None] | None = None
) -> Duplicates:
    """Finds the duplicated images of a cohort.

    Args:
        table: table of the cohort. Rows whose image is not in the cache are not searched.
        cache: decoded images, with the hash of each file.
        progress: called with (images hashed, images in all), then with (pairs compared, pairs in all).
    """
    images, sha256 = _searched(table, cache)
    pixels, index = cache.pixels, cache.index
    copies: dict[str, list[str]] = {}
    for image in images:
        copies.setdefault(sha256.get(image) or image, []).append(image)
    identical = [pair for same in copies.values() for pair in pairwise(same)]
    single = [same[0] for same in copies.values()]

    rows = np.array([index[image] for image in single], dtype=int)
    bits = perceptual_hashes(pixels, rows, progress)
    first, second, shortlisted = near_pairs(bits)
    matches: list[tuple[str, str, bool, float]] = [(one, other, True, 1.0) for one, other in identical]
    if len(first):
        used, position = np.unique(np.concatenate([first, second]), return_inverse=True)
        comparer = Comparer(pixels[rows[used]])
        similarity = comparer.similarity(position[: len(first)], position[len(first) :], progress)
        for k in np.flatnonzero(similarity >= SAME):
            matches.append((single[first[k]], single[second[k]], False, float(min(similarity[k], 1.0))))
    return Duplicates._of(table, matches, shortlisted, len(first))


def search_identity(table: pd.DataFrame, cache: ImageCache) -> str:
    """SHA-256 of all that `find_duplicates` compares: the images' order, names, files and pixels."""
    images, sha256 = _searched(table, cache)
    files = [[image, sha256.get(image), cache.index[image]] for image in images]
    digest = hashlib.sha256(json.dumps([files, cache.pixels.shape]).encode())
    for start in range(0, len(cache.pixels), BLOCK):
        digest.update(np.ascontiguousarray(cache.pixels[start : start + BLOCK]).data)
    return digest.hexdigest()


def _searched(table: pd.DataFrame, cache: ImageCache) -> tuple[list[str], dict[str, str]]:
    """The readable images in file order, and the hash of each file."""
    sha256 = dict(zip(cache.facts["image"], cache.facts["sha256"], strict=True))
    return table["image"][table["image"].isin(list(cache.index))].tolist(), sha256


def perceptual_hashes(
    pixels: np.ndarray, rows: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """The perceptual hashes (`phash`) of some images as ±1, float32 [m, 64].

    Args:
        pixels: images as uint8 [n, size, size].
        rows: indices of the images to hash, int [m].
        progress: called with (images hashed, images in all).
    """
    bits = np.empty((len(rows), 64), dtype=np.float32)
    for k, row in enumerate(rows):
        bits[k] = np.where(imagehash.phash(Image.fromarray(pixels[row])).hash.ravel(), 1, -1)
        if progress is not None:
            progress(k + 1, len(rows))
    return bits


def near_pairs(bits: np.ndarray, near: int = MOST_BITS, most: int = MOST_PAIRS) -> tuple[np.ndarray, np.ndarray, int]:
    """Finds pairs of images with similar hashes.

    Args:
        bits: hashes as ±1, [n, 64].
        near: largest number of differing bits.
        most: largest number of pairs to return, nearest first.

    Returns:
        First and second index of each pair, both int [m] (first below second), and the number of similar pairs.
    """

    def blocks() -> Iterator[Block]:
        for start in range(0, len(bits), BLOCK):
            differ = (64 - bits[start : start + BLOCK] @ bits[start:].T) / 2
            one, other = np.nonzero(np.triu(differ <= near, k=1))
            yield one + start, other + start, differ[one, other]

    return nearest(blocks(), most)


def nearest(blocks: Iterable[Block], most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Selects the pairs with the smallest distances, with at most `most` pairs and a block in memory at a time.

    Args:
        blocks: blocks of pairs: first indices, second indices and distances, each [m].
        most: largest number of pairs to return.

    Returns:
        First and second index of each pair, and the number of pairs in all blocks.
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
    """Merges patients who share an image: patient → group, named after the first patient of the group.

    Args:
        table: cohort table.
        pairs: duplicated images, from `find_duplicates`.
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


# Images that two sets share. The two steps are those of one set, but only pairs across the sets are formed, so that
# pairs within a set take no place in the shortlist.


@dataclass(frozen=True)
class Overlap:
    """Result of a search for images that two sets share.

    Attributes:
        pairs: pairs of images of one exposure: an image of the first set, an image of the second set.
        shortlisted: number of pairs with similar hashes.
        compared: number of shortlisted pairs that were compared, nearest first; less than `shortlisted` only in large
            sets.
    """

    pairs: tuple[tuple[str, str], ...]
    shortlisted: int
    compared: int


def find_overlap(one: ImageCache, other: ImageCache, progress: Callable[[int, int], None] | None = None) -> Overlap:
    """Finds the images that two sets share.

    Args:
        one: images of the first set.
        other: images of the second set, decoded at the same size.
        progress: called with (images hashed, images in all) for each set, then with (pairs compared, pairs in all).
    """
    bits, others = (perceptual_hashes(cache.pixels, np.arange(len(cache.index)), progress) for cache in (one, other))
    first, second, shortlisted = near_across(bits, others)
    if not len(first):
        return Overlap((), shortlisted, 0)
    used, position = np.unique(first, return_inverse=True)
    used_other, position_other = np.unique(second, return_inverse=True)
    comparer = Comparer(np.concatenate([one.pixels[used], other.pixels[used_other]]))
    similarity = comparer.similarity(position, len(used) + position_other, progress)
    names, names_other = list(one.index), list(other.index)
    pairs = [(names[first[k]], names_other[second[k]]) for k in np.flatnonzero(similarity >= SAME)]
    return Overlap(tuple(pairs), shortlisted, len(first))


def near_across(
    bits: np.ndarray, others: np.ndarray, near: int = MOST_BITS, most: int = MOST_PAIRS
) -> tuple[np.ndarray, np.ndarray, int]:
    """Finds pairs of images with similar hashes across two sets.

    Args:
        bits: hashes of the first set as ±1, [n, 64].
        others: hashes of the second set as ±1, [k, 64].
        near: largest number of differing bits.
        most: largest number of pairs to return, nearest first.

    Returns:
        Index in the first set and index in the second set of each pair, both int [m], and the number of similar pairs.
    """

    def blocks() -> Iterator[Block]:
        for start in range(0, len(others), BLOCK):
            differ = (64 - bits @ others[start : start + BLOCK].T) / 2
            row, column = np.nonzero(differ <= near)
            yield row, column + start, differ[row, column]

    return nearest(blocks(), most)
