"""Lung enrichment: whether a map's evidence lies in the lungs more often than anything drawn on the image would.

The lungs' boxes cover more than half of a chest X-ray, so that any centred blob scores above 1: a map's enrichment says
something only beside that of maps which know nothing of the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.audit.maps.sample import partners
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients, ratio

BASELINES = ("uniform", "centred Gaussian", "edges", "another image's map")
SPREAD = 0.25  # the Gaussian's standard deviation, as a share of each side: two of them reach the rim


@dataclass(frozen=True)
class AgainstBaseline:
    """A baseline's mean enrichment, and the maps' minus it on the same images."""

    baseline: str
    mean: float
    difference: MeanEstimate

    @property
    def above(self) -> bool:
        """Whether the maps lie in the lungs more than the baseline does."""
        return self.difference.low > 0

    @property
    def below(self) -> bool:
        """Whether they lie there less."""
        return self.difference.high < 0


@dataclass(frozen=True)
class Enrichment:
    """How much more of the maps lies in the lungs than the lungs' area holds.

    Attributes:
        enrichment: mean over images; `p` is of 1, where the lungs get their share by area.
        baselines: one for each of `BASELINES`, in this order.
        mass_inside: mean share of a map inside the lungs.
        lung_area: mean share of the lungs in the image.
        without_evidence: images left out because nothing on their map speaks for the logit.
        without_lungs: images left out because it is not known where their lungs are.
    """

    enrichment: MeanEstimate
    baselines: tuple[AgainstBaseline, ...]
    mass_inside: float
    lung_area: float
    without_evidence: int
    without_lungs: int


def enrichment(evidence: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """(share of the map's mass inside the lungs) / (the lungs' share of the area), [n].

    NaN of a map without evidence, which is not 0, and of an image whose lungs are unknown.

    Args:
        evidence: not negative, [n, h, w].
        lungs: bool [n, h, w]; all false where unknown.

    >>> enrichment(np.array([[[3.0, 1.0]]]), np.array([[[True, False]]])).tolist()
    [1.5]
    """
    inside = ratio((evidence * lungs).sum((1, 2)), evidence.sum((1, 2)))
    return ratio(inside, lungs.mean((1, 2)))


def baseline_maps(
    evidence: np.ndarray, images: np.ndarray, patients: np.ndarray, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """The maps that know nothing of the network, or nothing of the image: name → [n, h, w].

    Args:
        evidence: the maps, of which each image gets another's (of another patient, where that is possible).
        images: [n, h, w].
        patients: [n].
        generator: the randomness of that exchange.
    """
    rows, columns = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in images.shape[1:])
    blob = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * (2 * SPREAD) ** 2))
    edges = np.stack([np.hypot(ndimage.sobel(each, 0), ndimage.sobel(each, 1)) for each in images.astype(float)])
    found = (np.ones(images.shape), np.broadcast_to(blob, images.shape), edges, evidence[partners(patients, generator)])
    return dict(zip(BASELINES, found, strict=True))


def lung_enrichment(
    evidence: np.ndarray,
    images: np.ndarray,
    lungs: np.ndarray,
    patients: np.ndarray,
    generator: np.random.Generator,
    level: float = 0.95,
) -> Enrichment:
    """The maps' enrichment against the four baselines, each on the same images.

    Args:
        evidence: maps at the images' size, not negative, [n, h, w].
        images: [n, h, w].
        lungs: bool [n, h, w]; all false where unknown.
        patients: [n].
        generator: the randomness.
        level: of the intervals.

    Raises:
        UserError: shapes that differ, negative evidence, or fewer than 2 images with both evidence and known lungs.
    """
    if not evidence.shape == images.shape == lungs.shape or evidence.ndim != 3 or len(patients) != len(images):
        raise UserError(
            "evidence, images and lungs must be [n, h, w] alike, with n patients; got "
            f"{evidence.shape}, {images.shape}, {lungs.shape} and {len(patients)}"
        )
    if not evidence.min(initial=0) >= 0:  # NaN is not
        raise UserError("evidence must be finite and not negative: give `Attribution.enlarged()` clamped at 0")
    known = lungs.any((1, 2))
    used = known & evidence.any((1, 2))
    if used.sum() < 2:
        raise UserError(f"enrichment needs at least 2 images with evidence and known lungs; got {used.sum()}")
    maps, where, who = evidence[used].astype(float), lungs[used], np.asarray(patients)[used]

    def over(values: np.ndarray, null: float) -> MeanEstimate:
        return mean_over_patients(values, who, null, level)

    found, area = enrichment(maps, where), where.mean((1, 2))
    against = []
    for name, baseline in baseline_maps(maps, images[used], who, generator).items():
        theirs = enrichment(baseline, where)  # an image without any edge has no enrichment by edges
        paired = ~np.isnan(theirs)
        mean = float(theirs[paired].mean()) if paired.any() else np.nan
        against.append(AgainstBaseline(name, mean, over(found - theirs, 0.0)))
    return Enrichment(
        enrichment=over(found, 1.0),
        baselines=tuple(against),
        mass_inside=float((found * area).mean()),
        lung_area=float(area.mean()),
        without_evidence=int((known & ~used).sum()),
        without_lungs=int((~known).sum()),
    )
