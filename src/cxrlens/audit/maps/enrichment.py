"""Lung enrichment: whether a map's evidence lies in the lungs more than that of maps which ignore the network.

The boxes of the lungs cover more than half of a chest X-ray, so that any centred blob scores above 1. A map's
enrichment is therefore compared with that of baseline maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.audit.maps.sample import partners
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients, ratio

BASELINES = ("uniform", "centred Gaussian", "edges", "another image's map")
SPREAD = 0.25  # standard deviation of the Gaussian, as a fraction of each side: two of them reach the edge


@dataclass(frozen=True)
class AgainstBaseline:
    """Mean enrichment of a baseline, and the difference of the maps' enrichment from it on the same images."""

    baseline: str
    mean: float
    difference: MeanEstimate

    @property
    def above(self) -> bool:
        """Whether the maps' enrichment is above that of the baseline."""
        return self.difference.low > 0

    @property
    def below(self) -> bool:
        """Whether the maps' enrichment is below that of the baseline."""
        return self.difference.high < 0


@dataclass(frozen=True)
class Enrichment:
    """Lung enrichment of maps and of the baselines.

    Attributes:
        enrichment: mean enrichment over images; `p` is for the null of 1, where the lungs get their share by area.
        baselines: comparison with each of `BASELINES`, in this order.
        mass_inside: mean share of a map's evidence inside the lungs.
        lung_area: mean share of the lungs in the image.
        without_evidence: number of images left out because their map has no evidence.
        without_lungs: number of images left out because their lungs are unknown.
    """

    enrichment: MeanEstimate
    baselines: tuple[AgainstBaseline, ...]
    mass_inside: float
    lung_area: float
    without_evidence: int
    without_lungs: int


def enrichment(evidence: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """(share of the map's evidence inside the lungs) / (share of the image that the lungs cover), [n].

    It is NaN, not 0, where a map has no evidence or the lungs are unknown.

    Args:
        evidence: maps without negative values, [n, h, w].
        lungs: lung masks, bool [n, h, w]; all false where unknown.

    >>> enrichment(np.array([[[3.0, 1.0]]]), np.array([[[True, False]]])).tolist()
    [1.5]
    """
    inside = ratio((evidence * lungs).sum((1, 2)), evidence.sum((1, 2)))
    return ratio(inside, lungs.mean((1, 2)))


def baseline_maps(
    evidence: np.ndarray, images: np.ndarray, patients: np.ndarray, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Baseline maps that do not depend on the network, or not on the image: name → [n, h, w].

    Args:
        evidence: maps to exchange between images, if possible of different patients, [n, h, w].
        images: images, [n, h, w].
        patients: patient of each image, [n].
        generator: random number generator of the exchange.
    """
    rows, columns = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in images.shape[1:])
    blob = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * (2 * SPREAD) ** 2))
    edges = np.stack([np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1)) for image in images.astype(float)])
    exchanged = evidence[partners(patients, generator)]
    maps = (np.ones(images.shape), np.broadcast_to(blob, images.shape), edges, exchanged)
    return dict(zip(BASELINES, maps, strict=True))


def lung_enrichment(
    evidence: np.ndarray,
    images: np.ndarray,
    lungs: np.ndarray,
    patients: np.ndarray,
    generator: np.random.Generator,
    level: float = 0.95,
) -> Enrichment:
    """Lung enrichment of maps and of the four baselines on the same images.

    Args:
        evidence: maps at the size of the images, without negative values, [n, h, w].
        images: images, [n, h, w].
        lungs: lung masks, bool [n, h, w]; all false where unknown.
        patients: patient of each image, [n].
        generator: random number generator.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: shapes differ, evidence is negative, or fewer than 2 images have both evidence and known lungs.
    """
    if not evidence.shape == images.shape == lungs.shape or evidence.ndim != 3 or len(patients) != len(images):
        raise UserError(
            "evidence, images and lungs must have the same shape [n, h, w], with n patients; got "
            f"{evidence.shape}, {images.shape}, {lungs.shape} and {len(patients)}"
        )
    if not evidence.min(initial=0) >= 0:  # NaN is not
        raise UserError("evidence must be finite and not negative: pass `Attribution.enlarged()` clamped at 0")
    known = lungs.any((1, 2))
    used = known & evidence.any((1, 2))
    if used.sum() < 2:
        raise UserError(f"enrichment needs at least 2 images with evidence and known lungs; got {used.sum()}")
    maps, masks, patients_used = evidence[used].astype(float), lungs[used], np.asarray(patients)[used]

    def estimate(values: np.ndarray, null: float) -> MeanEstimate:
        return mean_over_patients(values, patients_used, null, level)

    of_maps, area = enrichment(maps, masks), masks.mean((1, 2))
    against = []
    for name, baseline in baseline_maps(maps, images[used], patients_used, generator).items():
        of_baseline = enrichment(baseline, masks)  # NaN by edges for an image without any edge
        known_baseline = of_baseline[~np.isnan(of_baseline)]
        mean = float(known_baseline.mean()) if len(known_baseline) else np.nan
        against.append(AgainstBaseline(name, mean, estimate(of_maps - of_baseline, 0.0)))
    return Enrichment(
        enrichment=estimate(of_maps, 1.0),
        baselines=tuple(against),
        mass_inside=float((of_maps * area).mean()),
        lung_area=float(area.mean()),
        without_evidence=int((known & ~used).sum()),
        without_lungs=int((~known).sum()),
    )
