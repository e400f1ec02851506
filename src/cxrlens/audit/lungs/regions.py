"""The lung regions of a set of images from one source, and the check that their presence does not reveal the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 5  # fewest images of each class that have a region
MAX_DIFFERENCE = 0.25  # largest difference between the classes in the share of images that have a region


@dataclass(frozen=True, eq=False)
class Lungs:
    """Lung regions of images.

    Attributes:
        masks: lung mask of each image, bool [n, h, w]; all false where unknown.
        known: whether the lungs of each image are known, bool [n].
        origin: source of the regions: "masks", "boxes", "segmenter", "fallback", or "none".
        worth: what is known of their accuracy, in a sentence.
        refused: the reasons why better sources were not used, one sentence each.
    """

    masks: np.ndarray
    known: np.ndarray
    origin: str
    worth: str = ""
    refused: tuple[str, ...] = ()

    @property
    def rows(self) -> np.ndarray:
        """Positions of the images whose lungs are known."""
        return np.flatnonzero(self.known)

    @property
    def unknown_reason(self) -> str:
        """The reason why there are no regions, with those of the sources that were not used, as text."""
        return "; ".join(["the positions of the lungs are unknown", *self.refused])


def one_sided(origin: str, known: np.ndarray, labels: np.ndarray) -> str:
    """The reason why regions may not be used, else "".

    Where the images of one class lack regions, an analysis of the images that have a region depends on the label.

    Args:
        origin: source of the regions, for the sentence.
        known: whether the region of each image is known, bool [n].
        labels: whether each image is positive, bool [n].

    >>> one_sided("masks", np.array([True] * 8 + [False] * 8), np.array([True] * 8 + [False] * 8))
    'masks exist for 8 of 8 positive and 0 of 8 negative images: using them would reveal the label'
    """
    counts = [(int((known & of_class).sum()), int(of_class.sum())) for of_class in (labels, ~labels)]
    (positive, positives), (negative, negatives) = counts
    shares = [with_region / max(1, total) for with_region, total in counts]
    if abs(shares[0] - shares[1]) > MAX_DIFFERENCE or not positive or not negative:
        return (
            f"{origin} exist for {positive} of {positives} positive and {negative} of {negatives} negative images: "
            "using them would reveal the label"
        )
    if min(positive, negative) < LEAST:
        return f"{origin} exist for {positive} positive and {negative} negative images; {LEAST} of each are needed"
    return ""


def choose(candidates: Sequence[Lungs], labels: np.ndarray) -> Lungs:
    """The first candidate whose regions exist for both classes alike, with the reasons against those before it.

    Args:
        candidates: regions by source, in order of preference.
        labels: whether each image is positive, bool [n].
    """
    reasons: list[str] = []
    for lungs in candidates:
        reason = one_sided(lungs.origin, lungs.known, labels)
        if not reason:
            return Lungs(lungs.masks, lungs.known, lungs.origin, lungs.worth, (*lungs.refused, *reasons))
        reasons.append(reason)
    empty = np.zeros((len(labels), 1, 1), bool)
    return Lungs(empty, np.zeros(len(labels), bool), "none", "", tuple(reasons))
