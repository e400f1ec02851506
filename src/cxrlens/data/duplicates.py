"""Images that are there twice: the same file, or the same exposure cropped, annotated or re-windowed.

Files with the same SHA-256 are identical. For the rest a perceptual hash (imagehash's `phash`, 64 bits) makes the
shortlist, which is mostly strangers: on the covid-chestxray collection of August 2020 (605 X-rays) 1,394 pairs are
within 12 bits, and 9 of those under different patient ids are one exposure. So each is laid over the other and
compared (`registration`): there those 9 score 0.84 to 1, and the next pair of different patients 0.64. The shortlist is
what misses copies: of 80 X-rays cropped by 2, 4 and 6% a side it keeps 100, 85 and 29%, and the comparison every one.
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
from scipy import ndimage

from cxrlens.data.cache import ImageCache

# Whether two X-rays are the same exposure: one is laid over the other, then their fine detail is compared.
#
# Two chests look alike when small, so a perceptual hash or a plain correlation pairs strangers; and the same X-ray
# published twice is cropped, annotated and re-windowed, so equal pixels miss it. Here one image is warped onto the
# other (shift and scale along each axis: Gauss-Newton on rank-equalised images, as in Lucas & Kanade 1981), and what
# is correlated is detail finer than a rib: the same in copies, unrelated in two people.
# All of it runs on many pairs at once.

COARSE, MIDDLE, FINE = 28, 56, 112  # pixels a side at the three steps
LIKELY = 0.85  # coarse correlation once aligned, below which a pair is not looked at more closely
BLUR = 4.0  # pixels at FINE: detail is what a Gaussian of this width takes away
LEAST_OVERLAP = 0.4  # of the image's area
CELL = 128  # pairs or images at a time


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Area means of uint8 [n, h, w] as float32 [n, side, side]; a smaller image is enlarged by repeating pixels."""
    shrunk = pixels.astype(np.float32)
    for axis in (1, 2):
        length = pixels.shape[axis]
        if length <= side:
            shrunk = shrunk.take(np.arange(side) * length // side, axis=axis)
            continue
        edges = np.linspace(0, length, side + 1).round().astype(int)
        widths = np.diff(edges).reshape([-1 if each == axis else 1 for each in range(3)])
        shrunk = np.add.reduceat(shrunk, edges[:-1], axis=axis) / widths.astype(np.float32)
    return shrunk


def equalise(images: np.ndarray) -> np.ndarray:
    """Each pixel's rank in its image, from -0.5 to 0.5: window and gamma no longer matter."""
    flat = images.reshape(len(images), -1)
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (ranks / (flat.shape[1] - 1) - 0.5).astype(np.float32).reshape(images.shape)


def correlate(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Pearson correlation of each pair of images [n, s, s] where `inside`; 0 where either is flat."""
    count = np.maximum(inside.sum(axis=(1, 2)), 1)

    def centred(image: np.ndarray) -> np.ndarray:
        mean = np.where(inside, image, 0).sum(axis=(1, 2)) / count
        return np.where(inside, image - mean[:, None, None], 0)

    a, b = centred(one), centred(other)
    power = (a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2))
    return np.where(power > 1e-9, (a * b).sum(axis=(1, 2)) / np.sqrt(np.maximum(power, 1e-9)), 0.0)


class Comparer:
    """Compares pairs of a set of images.

    Args:
        pixels: uint8 [n, size, size]; read again for the few pairs that are likely, so it may be memory-mapped.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        blocks = [pixels[start : start + CELL] for start in range(0, len(pixels), CELL)]
        self._coarse = np.concatenate([equalise(shrink(block, COARSE)) for block in blocks])

    def similarity(
        self, first: np.ndarray, second: np.ndarray, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Correlation of aligned fine detail, in [-1, 1]; 0 for a pair that is already unlike when coarse.

        Args:
            first: int [m], image numbers.
            second: int [m].
            progress: told (pairs compared, of how many).
        """
        result = np.zeros(len(first))
        for start in range(0, len(first), CELL):
            one, other = first[start : start + CELL], second[start : start + CELL]
            result[start : start + CELL] = np.maximum(self._one_way(one, other), self._one_way(other, one))
            if progress is not None:
                progress(min(start + CELL, len(first)), len(first))
        return result

    def _one_way(self, still: np.ndarray, moved: np.ndarray) -> np.ndarray:
        result = np.zeros(len(still))
        warp = align(self._coarse[still], self._coarse[moved], np.tile([1.0, 1.0, 0.0, 0.0], (len(still), 1)), steps=12)
        laid, inside = sample(self._coarse[moved], warp)
        alike = correlate(self._coarse[still], laid, inside)
        likely = np.flatnonzero((alike > LIKELY) & (inside.mean(axis=(1, 2)) > LEAST_OVERLAP))
        if not len(likely):
            return result
        images, place = np.unique(np.concatenate([still[likely], moved[likely]]), return_inverse=True)
        still, moved = place[: len(likely)], place[len(likely) :]
        middle = equalise(shrink(self._pixels[images], MIDDLE))
        fine = detail(equalise(shrink(self._pixels[images], FINE)))
        warp = align(middle[still], middle[moved], warp[likely], steps=8)
        laid, inside = sample(fine[moved], warp)
        close = correlate(fine[still], laid, inside)
        result[likely] = np.where(inside.mean(axis=(1, 2)) > LEAST_OVERLAP, close, 0.0)
        return result


def detail(images: np.ndarray) -> np.ndarray:
    """Images [n, s, s] without what a Gaussian keeps."""
    return images - ndimage.gaussian_filter(images, (0, BLUR, BLUR))


def align(still: np.ndarray, moved: np.ndarray, warp: np.ndarray, steps: int) -> np.ndarray:
    """Gauss-Newton for the warp that lays `moved` over `still`, brightness and contrast free.

    Args:
        still: [n, s, s].
        moved: [n, s, s].
        warp: [n, 4] to start from: scale down and across, shift down and across, in image sides about the centre.
        steps: how many.
    """
    side = still.shape[1]
    down, across = centred_grid(side)
    slope_down, slope_across = (np.gradient(moved, 1 / side, axis=axis) for axis in (1, 2))
    for _ in range(steps):
        laid, inside = sample(moved, warp)
        by_down, by_across = sample(slope_down, warp)[0], sample(slope_across, warp)[0]
        columns = (by_down * down, by_across * across, by_down, by_across, laid, np.ones_like(laid))
        design = np.stack([np.where(inside, column, 0).reshape(len(still), -1) for column in columns], axis=-1)
        normal = design.transpose(0, 2, 1) @ design + 1e-6 * np.eye(6)
        right = design.transpose(0, 2, 1) @ still.reshape(len(still), -1, 1)
        solution = np.linalg.solve(normal, right)[..., 0]
        contrast = np.maximum(solution[:, 4:5], 0.3)  # the slopes are multiplied by it
        warp = warp + np.clip(solution[:, :4] / contrast, -0.1, 0.1)
        warp = np.clip(warp, [0.6, 0.6, -0.3, -0.3], [1.6, 1.6, 0.3, 0.3])
    return warp


def sample(images: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear values [n, s, s] of images [n, s, s] at the warped grid, and where that is inside the image."""
    count, side, _ = images.shape
    grid = np.linspace(0.5, side - 0.5, side) / side - 0.5
    y = (grid * warp[:, :1] + warp[:, 2:3] + 0.5) * side - 0.5
    x = (grid * warp[:, 1:2] + warp[:, 3:4] + 0.5) * side - 0.5
    inside = ((y >= 0) & (y <= side - 1))[:, :, None] & ((x >= 0) & (x <= side - 1))[:, None, :]
    y, x = y.clip(0, side - 1), x.clip(0, side - 1)
    top, left = np.minimum(y.astype(int), side - 2), np.minimum(x.astype(int), side - 2)
    part_y = (y - top).astype(np.float32)[:, :, None]
    part_x = (x - left).astype(np.float32)[:, None, :]
    which = np.arange(count)[:, None]
    rows = images[which, top] * (1 - part_y) + images[which, top + 1] * part_y
    columns = rows.transpose(0, 2, 1)
    across = (
        columns[which, left].transpose(0, 2, 1) * (1 - part_x) + columns[which, left + 1].transpose(0, 2, 1) * part_x
    )
    return across, inside


def centred_grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres down [side, 1] and across [1, side], in image sides from the centre."""
    centres = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    return centres[:, None], centres[None, :]


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
    """The images of a cohort that are there twice.

    Attributes:
        pairs: two images of one exposure each, in file order.
        shortlisted: number of pairs whose hashes are near.
        compared: number of those that were compared, nearest first; fewer only in large sets.
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
    """Finds the images of a cohort that are there twice.

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
        used, place = np.unique(np.concatenate([first, second]), return_inverse=True)
        comparer = Comparer(pixels[rows[used]])
        similarity = comparer.similarity(place[: len(first)], place[len(first) :], progress)
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


# Images of one set that are in another too: what a shortlist by perceptual hash and a comparison find across the two.
#
# The same two steps as within one set (`duplicates`), but only pairs across are formed: two images of one set never
# take the place of one that matters in a shortlist of bounded length.


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
