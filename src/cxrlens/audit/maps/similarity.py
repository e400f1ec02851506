"""How alike two maps are: SSIM (Wang et al. 2004, IEEE TIP 13(4), eqs. 13-17) and Spearman's rank correlation.

Each of signed and of absolute maps, after both are divided by their largest magnitude, because logits of different
networks have no common scale. SSIM is made for values that are not negative (it calls opposite means and opposite
structure alike, minus times minus): signed maps are moved from [-1, 1] to [0, 1]. A constant map is like nothing: NaN.
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

    Taken where the window lies inside the map, as Wang did; a map that is smaller than the window is mirrored instead.

    Args:
        a: values in [0, 1], [n, h, w].
        b: likewise.
    """
    inner = slice(RADIUS, -RADIUS) if min(a.shape[1:]) > 2 * RADIUS else slice(None)

    def local(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, SIGMA, radius=RADIUS, axes=(1, 2))[:, inner, inner]

    mean_a, mean_b = local(a), local(b)
    spread = local(a * a) - mean_a**2 + local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    found = (likeness / ((mean_a**2 + mean_b**2 + C1) * (spread + C2))).mean((1, 2))  # eqs. 13 and 17
    return np.where(_varies(a) & _varies(b), found, np.nan)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of pairs of maps [n, h, w], [n]; ties share their mean rank."""
    return _correlation(_ranks(a), _ranks(b))


@dataclass(frozen=True, eq=False)
class Ranked:
    """Maps ready to be compared with many others: ranking them is the slow part.

    Attributes:
        values: divided by the largest magnitude of each, [n, h, w].
        signed: their centred ranks, [n, h · w].
        absolute: those of their magnitudes.
    """

    values: np.ndarray
    signed: np.ndarray
    absolute: np.ndarray

    @classmethod
    def of(cls, maps: np.ndarray) -> Ranked:
        """From signed, finite maps [n, h, w]."""
        values = _scaled(maps.astype(float))
        return cls(values, _ranks(values), _ranks(np.abs(values)))

    def at(self, rows: np.ndarray) -> Ranked:
        """The maps at these positions."""
        return Ranked(self.values[rows], self.signed[rows], self.absolute[rows])

    def likeness(self, other: Ranked) -> dict[str, np.ndarray]:
        """Every measure of the pairs: name → [n].

        Raises:
            UserError: the shapes differ.
        """
        x, y = self.values, other.values
        if x.shape != y.shape or x.ndim != 3:
            raise UserError(f"maps to compare must be [n, h, w] alike; got {x.shape} and {y.shape}")
        found = (
            ssim((x + 1) / 2, (y + 1) / 2),
            ssim(np.abs(x), np.abs(y)),
            _correlation(self.signed, other.signed),
            _correlation(self.absolute, other.absolute),
        )
        return dict(zip(MEASURES, found, strict=True))


def similarities(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of pairs of maps: name → [n].

    Args:
        a: signed, finite, [n, h, w].
        b: likewise, of the same shape.

    Raises:
        UserError: the shapes differ.
    """
    return Ranked.of(a).likeness(Ranked.of(b))


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
    """How alike the maps of several networks are.

    Attributes:
        measure: one of `MEASURES`.
        same_image: of two networks' maps of the same image.
        other_image: of one network's map of an image and another network's map of another: what maps share anyway.
        networks: how many.
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
        maps: signed [n, h, w] of each network, of the same images, brought to one size by the caller.
        patients: [n].
        generator: the randomness.
        measure: one of `MEASURES`.
        level: of the intervals, over patients: networks that were not trained are not spoken of.

    Raises:
        UserError: fewer than 2 networks or 2 images, or shapes that differ.
    """
    if len(maps) < 2:
        raise UserError(f"agreement needs the maps of at least 2 networks; got {len(maps)}")
    other, ranked = partners(patients, generator), [Ranked.of(each) for each in maps]
    same, different = (
        np.mean([a.likeness(b.at(order))[measure] for a, b in combinations(ranked, 2)], axis=0)
        for order in (np.arange(len(patients)), other)
    )
    ends = [mean_over_patients(each, patients, level=level) for each in (same, different)]
    return Agreement(measure, ends[0], ends[1], len(maps))
