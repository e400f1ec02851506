"""Faithfulness: does the logit follow what the map points at?

Deletion and insertion (RISE, Petsiuk et al. 2018, arXiv:1806.07421) and ROAD (Rong et al. 2022, arXiv:2202.00449, most
relevant first), each against a random order of the same cells.

Curves are of the logit as it is, in its own units, over the share of cells taken (deletion, ROAD) or given (insertion).
What supports the logit, where it goes first, makes deletion and ROAD fall early (a small area) and insertion rise early
(a large one). Nothing is normalised, so areas of different models are not comparable; `difference` says of each, in its
logit's units, how much better than chance it is: positive is better, whichever the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.maps.cells import cell_side, ranks, spread, summed
from cxrlens.audit.maps.impute import impute
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients

Kind = Literal["deletion", "insertion", "road"]
Predict = Callable[[Tensor], np.ndarray]
BATCH = 16


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
    kind: Kind,
    maps: np.ndarray,
    images: np.ndarray,
    patients: np.ndarray,
    predict: Predict,
    generator: np.random.Generator,
    signs: np.ndarray | None = None,
    side: int | None = None,
    steps: int = 10,
    baseline: float = 0.0,
    noise: float = 0.01,
    level: float = 0.95,
    draws: int = 2000,
) -> Faithfulness:
    """Curves of one kind in the map's order and in a random one, with an interval over patients.

    Args:
        kind: "deletion" and "insertion" put `baseline` where a cell is missing; "road" fills it from its neighbours.
        maps: at the images' size, [n, h, w]; the largest value goes first, so signed maps keep their sign.
        images: [n, h, w] in [0, 1].
        patients: [n].
        predict: logits [m] of images [m, 1, h, w], in the images' precision; at most 16 at once.
        generator: the randomness of the random order, of ties and of ROAD's noise.
        signs: 1 or -1 of each image, [n]: the score is the logit times it. A map of what speaks against the logit is
            -1; so is a magnitude, which does not say for what it speaks, where it shall stand for a negative decision.
        side: of a cell, in pixels; a 28th of the image's shorter side where none is given.
        steps: in which all cells go, as equal as whole cells can be.
        baseline: grey of what is missing, in the images' units.
        noise: of ROAD, see `impute`.
        level: of the intervals.
        draws: of the bootstrap.

    Raises:
        UserError: an unknown kind, shapes that differ, maps that are not finite, or more steps than cells.
    """
    if kind not in get_args(Kind):
        raise UserError(f"unknown kind of curve '{kind}'; known: {', '.join(get_args(Kind))}")
    if maps.shape != images.shape or maps.ndim != 3 or len(patients) != len(images):
        raise UserError(
            f"maps and images must be [n, h, w] alike, with n patients; got {maps.shape}, {images.shape} and "
            f"{len(patients)}"
        )
    side = cell_side((images.shape[1], images.shape[2])) if side is None else side
    evidence = summed(maps.astype(float), side)
    cells = evidence[0].size if len(evidence) else 0
    if not 1 <= steps <= cells:
        raise UserError(f"curves need 1 to {cells} steps, the cells of an image; got {steps}")
    taken = np.round(np.linspace(0, cells, steps + 1)).astype(int)
    known = maps.any((1, 2))
    sign = np.ones(len(images)) if signs is None else np.asarray(signs, float)
    found = np.full((2, len(images), steps + 1), np.nan)
    for of, order in enumerate((ranks(evidence, generator), ranks(np.zeros_like(evidence), generator))):
        for row in np.flatnonzero(known):
            missing = order[row] < taken[:, None, None]
            variants = _variants(kind, images[row], missing, side, baseline, noise, generator)
            found[of, row] = sign[row] * _scores(predict, variants)
    share = taken / cells
    areas = ((found[..., 1:] + found[..., :-1]) / 2 * np.diff(share)).sum(-1)
    gain = areas[0] - areas[1] if kind == "insertion" else areas[1] - areas[0]
    ends = [mean_over_patients(each, patients, generator, level=level, draws=draws) for each in (*areas, gain)]
    curves = found[:, known].mean(axis=1) if known.any() else found[:, :1].reshape(2, -1)
    return Faithfulness(kind, share, curves[0], curves[1], ends[0], ends[1], ends[2], int((~known).sum()), side)


def _variants(
    kind: Kind,
    image: np.ndarray,
    chosen: np.ndarray,
    side: int,
    baseline: float,
    noise: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """The image [h, w] at each step, [s, h, w]; `chosen` cells [s, h', w'] are missing, or alone there in insertion."""
    size = (image.shape[0], image.shape[1])
    there = ~spread(chosen, side, size)
    if kind == "insertion":
        there = ~there
    if kind != "road":
        return np.where(there, image, np.asarray(baseline, image.dtype))
    # The system is solved for the cells' means, a filled cell is even: some hundred unknowns, not 50 000.
    means = summed(image[None].astype(float), side) / summed(np.ones((1, *size)), side)
    filled = impute(np.broadcast_to(means, chosen.shape), chosen, noise, generator)
    return np.where(there, image, spread(filled, side, size)).astype(image.dtype)


def _scores(predict: Predict, variants: np.ndarray) -> np.ndarray:
    parts: Iterator[Tensor] = iter(torch.from_numpy(variants)[:, None].split(BATCH))
    return np.concatenate([np.asarray(predict(some), float) for some in parts])
