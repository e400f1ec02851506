"""The lung fields of a set of images, from one origin alone, and the refusal of an origin that tells the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 5  # images of each class
UNEQUAL = 0.25  # by how much the share of images that have a region may differ between the classes


@dataclass(frozen=True, eq=False)
class Lungs:
    """Where the lungs are.

    Attributes:
        masks: bool [n, h, w]; all false where unknown.
        known: bool [n].
        origin: "masks", "boxes", "segmenter", "fallback", or "none".
        worth: what is known of it, in a sentence.
        refused: why a better origin was not used, a sentence each.
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


def one_sided(origin: str, known: np.ndarray, labels: np.ndarray) -> str:
    """Why regions that exist for these images may not be used, else "".

    An analysis kept to the images that have a region knows the label wherever one class lacks them.

    Args:
        origin: of the regions, for the sentence.
        known: bool [n].
        labels: bool [n].

    >>> one_sided("masks", np.array([True] * 8 + [False] * 8), np.array([True] * 8 + [False] * 8))
    'masks are there for 8 of 8 positive and 0 of 8 negative images: an analysis of those would know the label'
    """
    of = [(int((known & side).sum()), int(side.sum())) for side in (labels, ~labels)]
    (positive, positives), (negative, negatives) = of
    shares = [there / max(1, every) for there, every in of]
    if abs(shares[0] - shares[1]) > UNEQUAL or not positive or not negative:
        return (
            f"{origin} are there for {positive} of {positives} positive and {negative} of {negatives} negative images: "
            "an analysis of those would know the label"
        )
    if min(positive, negative) < LEAST:
        return f"{origin} are there for {positive} positive and {negative} negative images; {LEAST} of each are needed"
    return ""


def choose(found: Sequence[Lungs], labels: np.ndarray) -> Lungs:
    """The first origin that is there for both classes alike, with the reasons why those before it are not used.

    Args:
        found: in order of preference.
        labels: bool [n].
    """
    reasons: list[str] = []
    for lungs in found:
        reason = one_sided(lungs.origin, lungs.known, labels)
        if not reason:
            return Lungs(lungs.masks, lungs.known, lungs.origin, lungs.worth, (*lungs.refused, *reasons))
        reasons.append(reason)
    empty = np.zeros((len(labels), 1, 1), bool)
    return Lungs(empty, np.zeros(len(labels), bool), "none", "", tuple(reasons))
