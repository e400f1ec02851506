"""Similarity of two maps: SSIM (Wang et al. 2004, IEEE TIP 13(4), eqs. 13-17) and Spearman's rank correlation.

Both are measured on signed and on absolute maps. Each map is first divided by its largest magnitude, because logits of
different networks have no common scale. SSIM is made for values that are not negative: it would call maps similar whose
mean and structure are both opposite. Signed maps are therefore moved from [-1, 1] to [0, 1]. A constant map has no
similarity (NaN).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage, stats

from cxrlens.audit.maps.sample import partners
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients, ratio

MEASURES = ("ssim_signed", "ssim_absolute", "spearman_signed", "spearman_absolute")
SIGMA, RADIUS = 1.5, 5  # Wang's 11 × 11 window
C1, C2 = 0.01**2, 0.03**2  # his constants, of values in [0, 1]


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean structural similarity of pairs of maps, [n], in [-1, 1].

    Windows lie inside the map, as in Wang's work; a map that is smaller than the window is mirrored at its edges
    instead.

    Args:
        a: maps with values in [0, 1], [n, h, w].
        b: maps to compare with, with values in [0, 1], [n, h, w].
    """
    inner = slice(RADIUS, -RADIUS) if min(a.shape[1:]) > 2 * RADIUS else slice(None)

    def local(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, SIGMA, radius=RADIUS, axes=(1, 2))[:, inner, inner]

    mean_a, mean_b = local(a), local(b)
    spread = local(a * a) - mean_a**2 + local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    ssims = (numerator / ((mean_a**2 + mean_b**2 + C1) * (spread + C2))).mean((1, 2))  # eqs. 13 and 17
    return np.where(_varies(a) & _varies(b), ssims, np.nan)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of pairs of maps, [n, h, w] each → [n]; ties get their mean rank."""
    return _correlation(_ranks(a), _ranks(b))


@dataclass(frozen=True, eq=False)
class Ranked:
    """Maps with their ranks, which are slow to compute, for comparisons with many others.

    Attributes:
        values: maps divided by their largest magnitudes, [n, h, w].
        signed: centred ranks of the values, [n, h · w].
        absolute: centred ranks of the magnitudes, [n, h · w].
    """

    values: np.ndarray
    signed: np.ndarray
    absolute: np.ndarray

    @classmethod
    def of(cls, maps: np.ndarray) -> Ranked:
        """Ranks signed, finite maps [n, h, w]."""
        values = _scaled(maps.astype(float))
        return cls(values, _ranks(values), _ranks(np.abs(values)))

    def at(self, rows: np.ndarray) -> Ranked:
        """The maps at these positions."""
        return Ranked(self.values[rows], self.signed[rows], self.absolute[rows])

    def similarity(self, other: Ranked) -> dict[str, np.ndarray]:
        """Every measure of similarity of the pairs: name → [n].

        Raises:
            UserError: the shapes differ.
        """
        x, y = self.values, other.values
        if x.shape != y.shape or x.ndim != 3:
            raise UserError(f"maps to compare must have the same shape [n, h, w]; got {x.shape} and {y.shape}")
        measures = (
            ssim((x + 1) / 2, (y + 1) / 2),
            ssim(np.abs(x), np.abs(y)),
            _correlation(self.signed, other.signed),
            _correlation(self.absolute, other.absolute),
        )
        return dict(zip(MEASURES, measures, strict=True))


def similarities(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of similarity of pairs of maps: name → [n].

    Args:
        a: signed, finite maps, [n, h, w].
        b: signed, finite maps of the same shape.

    Raises:
        UserError: the shapes differ.
    """
    return Ranked.of(a).similarity(Ranked.of(b))


def _ranks(maps: np.ndarray) -> np.ndarray:
    ranks = stats.rankdata(maps.reshape(len(maps), -1), axis=1)
    return ranks - ranks.mean(axis=1, keepdims=True)


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ratio((x * y).sum(axis=1), np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1)))


def _scaled(maps: np.ndarray) -> np.ndarray:
    largest = np.abs(maps).max((1, 2), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def _varies(maps: np.ndarray) -> np.ndarray:
    return np.ptp(maps, axis=(1, 2)) > 0


@dataclass(frozen=True)
class Agreement:
    """Similarity of the maps of several networks.

    Attributes:
        measure: measure of similarity, one of `MEASURES`.
        same_image: similarity of two networks' maps of the same image.
        other_image: similarity of one network's map of an image and another network's map of another image, for
            reference.
        networks: number of networks.
    """

    measure: str
    same_image: MeanEstimate
    other_image: MeanEstimate
    networks: int


def agreement(
    maps: Sequence[np.ndarray],
    patients: np.ndarray,
    generator: np.random.Generator,
    measure: str = "ssim_absolute",
    level: float = 0.95,
) -> Agreement:
    """Repeatability of one model's maps over seeds, or reproducibility over models (Arun et al. 2021, by SSIM).

    Args:
        maps: signed maps of each network, [n, h, w] each, of the same images and of one size.
        patients: patient of each image, [n].
        generator: random number generator.
        measure: measure of similarity, one of `MEASURES`.
        level: confidence level of the intervals over patients, between 0 and 1; they do not cover other networks.

    Raises:
        UserError: there are fewer than 2 networks or 2 images, or shapes differ.
    """
    if len(maps) < 2:
        raise UserError(f"agreement needs the maps of at least 2 networks; got {len(maps)}")
    other, ranked = partners(patients, generator), [Ranked.of(of_network) for of_network in maps]
    same, different = (
        np.mean([a.similarity(b.at(order))[measure] for a, b in combinations(ranked, 2)], axis=0)
        for order in (np.arange(len(patients)), other)
    )
    same_image, other_image = (mean_over_patients(values, patients, level=level) for values in (same, different))
    return Agreement(measure, same_image, other_image, len(maps))
