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
from scipy import ndimage

from cxrlens.data.cache import ImageCache

# Registration: whether two X-rays are the same exposure.
#
# Small images of two chests look alike, so a perceptual hash or a plain correlation pairs different people. An X-ray
# that is published twice may be cropped, annotated and re-windowed, so equal pixels do not find it. Here one image is
# warped onto the other (shift and scale along each axis: Gauss-Newton on rank-equalised images, as in Lucas & Kanade
# 1981). Then detail finer than a rib is correlated: it agrees in copies and is unrelated in two people.

COARSE, MIDDLE, FINE = 28, 56, 112  # pixels a side at the three steps
LIKELY = 0.85  # coarse correlation after alignment that a pair needs for the fine comparison
BLUR = 4.0  # pixels at FINE: width of the Gaussian that is subtracted to leave the detail
LEAST_OVERLAP = 0.4  # of the image's area
BATCH = 128  # pairs or images at a time


def shrink(pixels: np.ndarray, side: int) -> np.ndarray:
    """Reduces uint8 [n, h, w] by area means to float32 [n, side, side]; a smaller image is enlarged by repetition."""
    shrunk = pixels.astype(np.float32)
    for axis in (1, 2):
        length = pixels.shape[axis]
        if length <= side:
            shrunk = shrunk.take(np.arange(side) * length // side, axis=axis)
            continue
        edges = np.linspace(0, length, side + 1).round().astype(int)
        widths = np.diff(edges).reshape([-1 if other == axis else 1 for other in range(3)])
        shrunk = np.add.reduceat(shrunk, edges[:-1], axis=axis) / widths.astype(np.float32)
    return shrunk


def equalise(images: np.ndarray) -> np.ndarray:
    """Replaces each pixel by its rank in its image, from -0.5 to 0.5, so that window and gamma do not matter."""
    flat = images.reshape(len(images), -1)
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return (ranks / (flat.shape[1] - 1) - 0.5).astype(np.float32).reshape(images.shape)


def correlate(first: np.ndarray, second: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Pearson correlation [n] of pairs of images [n, s, s] over the pixels `valid`; 0 where an image is constant."""
    count = np.maximum(valid.sum(axis=(1, 2)), 1)

    def centred(image: np.ndarray) -> np.ndarray:
        mean = np.where(valid, image, 0).sum(axis=(1, 2)) / count
        return np.where(valid, image - mean[:, None, None], 0)

    a, b = centred(first), centred(second)
    power = (a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2))
    return np.where(power > 1e-9, (a * b).sum(axis=(1, 2)) / np.sqrt(np.maximum(power, 1e-9)), 0.0)


class Comparer:
    """Compares pairs of images of a set.

    Args:
        pixels: images as uint8 [n, size, size]; may be memory-mapped, since only likely pairs are read again.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        blocks = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
        self._coarse = np.concatenate([equalise(shrink(block, COARSE)) for block in blocks])

    def similarity(
        self, first: np.ndarray, second: np.ndarray, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Correlation of the aligned fine detail of pairs, [m] in [-1, 1]; 0 for a pair that differs at coarse size.

        Args:
            first: index of the first image of each pair, int [m].
            second: index of the second image of each pair, int [m].
            progress: called with (pairs compared, pairs in all).
        """
        result = np.zeros(len(first))
        for start in range(0, len(first), BATCH):
            one, other = first[start : start + BATCH], second[start : start + BATCH]
            result[start : start + BATCH] = np.maximum(self._one_way(one, other), self._one_way(other, one))
            if progress is not None:
                progress(min(start + BATCH, len(first)), len(first))
        return result

    def _one_way(self, still: np.ndarray, moved: np.ndarray) -> np.ndarray:
        result = np.zeros(len(still))
        warp = align(self._coarse[still], self._coarse[moved], np.tile([1.0, 1.0, 0.0, 0.0], (len(still), 1)), steps=12)
        warped, valid = sample(self._coarse[moved], warp)
        coarse = correlate(self._coarse[still], warped, valid)
        likely = np.flatnonzero((coarse > LIKELY) & (valid.mean(axis=(1, 2)) > LEAST_OVERLAP))
        if not len(likely):
            return result
        images, position = np.unique(np.concatenate([still[likely], moved[likely]]), return_inverse=True)
        still, moved = position[: len(likely)], position[len(likely) :]
        middle = equalise(shrink(self._pixels[images], MIDDLE))
        fine = detail(equalise(shrink(self._pixels[images], FINE)))
        warp = align(middle[still], middle[moved], warp[likely], steps=8)
        warped, valid = sample(fine[moved], warp)
        similarity = correlate(fine[still], warped, valid)
        result[likely] = np.where(valid.mean(axis=(1, 2)) > LEAST_OVERLAP, similarity, 0.0)
        return result


def detail(images: np.ndarray) -> np.ndarray:
    """The fine detail of images [n, s, s]: the difference from their Gaussian blur."""
    return images - ndimage.gaussian_filter(images, (0, BLUR, BLUR))


def align(still: np.ndarray, moved: np.ndarray, warp: np.ndarray, steps: int) -> np.ndarray:
    """Finds the warp that aligns `moved` with `still` by Gauss-Newton, with free brightness and contrast.

    Args:
        still: fixed images, [n, s, s].
        moved: images to be warped, [n, s, s].
        warp: initial warp [n, 4]: vertical and horizontal scale, then vertical and horizontal shift, in image sides
            about the centre.
        steps: number of Gauss-Newton steps.

    Returns:
        The warp of each pair, [n, 4].
    """
    side = still.shape[1]
    down, across = centred_grid(side)
    slope_down, slope_across = (np.gradient(moved, 1 / side, axis=axis) for axis in (1, 2))
    for _ in range(steps):
        warped, valid = sample(moved, warp)
        by_down, by_across = sample(slope_down, warp)[0], sample(slope_across, warp)[0]
        columns = (by_down * down, by_across * across, by_down, by_across, warped, np.ones_like(warped))
        design = np.stack([np.where(valid, column, 0).reshape(len(still), -1) for column in columns], axis=-1)
        normal = design.transpose(0, 2, 1) @ design + 1e-6 * np.eye(6)
        right = design.transpose(0, 2, 1) @ still.reshape(len(still), -1, 1)
        solution = np.linalg.solve(normal, right)[..., 0]
        contrast = np.maximum(solution[:, 4:5], 0.3)  # the slopes are multiplied by it
        warp = warp + np.clip(solution[:, :4] / contrast, -0.1, 0.1)
        warp = np.clip(warp, [0.6, 0.6, -0.3, -0.3], [1.6, 1.6, 0.3, 0.3])
    return warp


def sample(images: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples images [n, s, s] bilinearly at the warped grid.

    Returns:
        Values [n, s, s] and bool [n, s, s], True where the grid lies within the image.
    """
    count, side, _ = images.shape
    grid = np.linspace(0.5, side - 0.5, side) / side - 0.5
    y = (grid * warp[:, :1] + warp[:, 2:3] + 0.5) * side - 0.5
    x = (grid * warp[:, 1:2] + warp[:, 3:4] + 0.5) * side - 0.5
    valid = ((y >= 0) & (y <= side - 1))[:, :, None] & ((x >= 0) & (x <= side - 1))[:, None, :]
    y, x = y.clip(0, side - 1), x.clip(0, side - 1)
    top, left = np.minimum(y.astype(int), side - 2), np.minimum(x.astype(int), side - 2)
    part_y = (y - top).astype(np.float32)[:, :, None]
    part_x = (x - left).astype(np.float32)[:, None, :]
    batch = np.arange(count)[:, None]
    rows = images[batch, top] * (1 - part_y) + images[batch, top + 1] * part_y
    columns = rows.transpose(0, 2, 1)
    across = (
        columns[batch, left].transpose(0, 2, 1) * (1 - part_x) + columns[batch, left + 1].transpose(0, 2, 1) * part_x
    )
    return across, valid


def centred_grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres down [side, 1] and across [1, side], in image sides from the centre."""
    centres = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    return centres[:, None], centres[None, :]


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
