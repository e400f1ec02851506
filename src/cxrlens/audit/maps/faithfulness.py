"""Faithfulness: does the logit follow what the map points at?

Deletion and insertion (RISE, Petsiuk et al. 2018, arXiv:1806.07421) and ROAD (Rong et al. 2022, arXiv:2202.00449, most
relevant first), each against a random order of the same cells.

Curves are of the logit as it is, in its own units, over the share of cells taken (deletion, ROAD) or given (insertion).
What supports the logit, where it goes first, makes deletion and ROAD fall early (a small area) and insertion rise early
(a large one). Nothing is normalised, so areas of different models are not comparable; `difference` says of each, in its
logit's units, how much better than chance it is: positive is better, whichever the kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxrlens.audit.maps.cells import ranks, summed
from cxrlens.audit.maps.chance import Chance, Kind, Predict, scores, variants
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """A method's maps of one network, by one kind of taking away.

    Attributes:
        kind: of curve.
        share: of cells taken or given, [steps + 1], from 0 to 1.
        curve: mean score at each share in the map's order, [steps + 1]; NaN where no image has evidence.
        random_curve: the same in a random order.
        area: under the map's curve (trapezoids), mean over images.
        random_area: under the random order's.
        difference: per image, oriented so that positive is better than a random order.
        without_evidence: images left out because their map is all zeros.
        side: of a cell, in pixels.
    """

    kind: Kind
    share: np.ndarray
    curve: np.ndarray
    random_curve: np.ndarray
    area: MeanEstimate
    random_area: MeanEstimate
    difference: MeanEstimate
    without_evidence: int
    side: int

    @property
    def better(self) -> bool:
        """Whether the interval says that the map's order beats a random one."""
        return self.difference.low > 0

    @property
    def worse(self) -> bool:
        """Whether it says that a random order is better."""
        return self.difference.high < 0


def faithfulness(
    by_chance: Chance,
    maps: np.ndarray,
    images: np.ndarray,
    patients: np.ndarray,
    predict: Predict,
    generator: np.random.Generator,
    signs: np.ndarray | None = None,
    level: float = 0.95,
) -> Faithfulness:
    """Curves of one kind in the map's order and in a random one, with an interval over patients.

    Whole images, and images without any cell, are the same in every order: they are asked once, with chance.

    Args:
        by_chance: of the same images and network.
        maps: at the images' size, [n, h, w]; the largest value goes first, so signed maps keep their sign.
        images: [n, h, w] in [0, 1].
        patients: [n].
        predict: as for `chance`.
        generator: the randomness of ties and of ROAD's noise.
        signs: 1 or -1 of each image, [n]: the score is the logit times it. A map of what speaks against the logit is
            -1; so is a magnitude, which does not say for what it speaks, where it shall stand for a negative decision.
        level: of the intervals.

    Raises:
        UserError: shapes that differ, or maps that are not finite.
    """
    if maps.shape != images.shape or maps.ndim != 3 or not len(patients) == len(by_chance.logits) == len(images):
        raise UserError(
            f"maps and images must be [n, h, w] alike, with n patients; got {maps.shape}, {images.shape}, "
            f"{len(patients)} and chance of {len(by_chance.logits)}"
        )
    kind, taken = by_chance.kind, by_chance.taken
    evidence, known = summed(maps.astype(float), by_chance.side), np.any(maps, axis=(1, 2))
    sign = np.ones((len(images), 1)) if signs is None else np.asarray(signs, float)[:, None]
    found = np.stack([by_chance.logits, by_chance.logits])
    for row, order in enumerate(ranks(evidence, generator)):
        if known[row] and len(taken) > 2:
            chosen = order < taken[1:-1, None, None]
            steps = variants(kind, images[row], chosen, by_chance.side, by_chance.baseline, by_chance.noise, generator)
            found[0, row, 1:-1] = scores(predict, steps)
    found = np.where(known[:, None], sign * found, np.nan)
    share = taken / taken[-1]
    areas = ((found[..., 1:] + found[..., :-1]) / 2 * np.diff(share)).sum(-1)
    gain = areas[0] - areas[1] if kind == "insertion" else areas[1] - areas[0]
    area, random_area, difference = (mean_over_patients(each, patients, level=level) for each in (*areas, gain))
    curves = found[:, known].mean(axis=1) if known.any() else found[:, :1].reshape(2, -1)
    return Faithfulness(
        kind, share, curves[0], curves[1], area, random_area, difference, int((~known).sum()), by_chance.side
    )
