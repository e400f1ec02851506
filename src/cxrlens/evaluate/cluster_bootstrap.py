"""Bootstrap over patients: images of one patient are not independent, so patients are drawn (Field and Welsh 2007)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import known_scores

ROUNDS = 100
CELLS = 2_000_000  # of a block of draws: 16 MB an array


@dataclass(frozen=True)
class PatientDraws:
    """How often each image counts in each draw.

    Attributes:
        weights: integers [draws, n].
        patients: how many there are.
        redrawn: draws that held one class only and were drawn again.
    """

    weights: np.ndarray
    patients: int
    redrawn: int


def least_draws(level: float) -> int:
    """The fewest draws that an interval at this level, between 0 and 1, can be read from.

    >>> least_draws(0.95), least_draws(0.999)
    (39, 1999)
    """
    return math.ceil(2 / (1 - level) - 1e-9) - 1


def patient_draws(patients: ArrayLike, labels: ArrayLike, draws: int, generator: np.random.Generator) -> PatientDraws:
    """Draws patients with replacement, all images of a patient together.

    Patients with a positive image and patients without one are drawn apart, each as many as there are, so that hardly
    any draw holds one class only; such a draw is drawn again and counted.

    Args:
        patients: an identifier for each image, [n].
        labels: 1 or 0 for each image, [n].
        draws: how many.
        generator: the randomness.

    Raises:
        UserError: a class has no image, or nearly every draw holds one class only.
    """
    positive, _ = known_scores(labels, np.zeros(len(np.asarray(labels))))
    names, of_image = np.unique(np.asarray(patients).astype(str), return_inverse=True)
    if len(of_image) != len(positive):
        raise UserError(
            f"a patient and a known label are needed for each image; got {len(of_image)} and {len(positive)}"
        )
    has_positive = np.bincount(of_image, weights=positive) > 0
    strata = [np.flatnonzero(has_positive), np.flatnonzero(~has_positive)]
    counts = np.empty((len(names), draws), dtype=np.int32)  # an image's draws lie together: that is how they are read
    todo, redrawn = np.arange(draws), 0
    for _ in range(ROUNDS):
        for members in strata:
            if len(members):
                counts[np.ix_(members, todo)] = _resample(len(members), len(todo), generator)
        of_class = [counts[np.unique(of_image[side])][:, todo].any(axis=0) for side in (positive, ~positive)]
        todo = todo[~(of_class[0] & of_class[1])]
        if not len(todo):
            return PatientDraws(counts[of_image].T, len(names), redrawn)
        redrawn += len(todo)
    raise UserError(
        f"a bootstrap over patients needs draws with both classes; {len(names)} patients give almost none. "
        "Use more patients of the rarer class."
    )


def _resample(members: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of `members` is drawn, in `members` draws with replacement: [members, draws]."""
    chosen = generator.integers(members, size=(members, draws)) * draws + np.arange(draws)
    return np.bincount(chosen.ravel(), minlength=members * draws).reshape(members, draws)


def weighted_pairs(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the pairs in order (ties one half), and of all pairs, in each draw: two arrays [draws].

    Args:
        labels: bool [n].
        scores: finite [n].
        weights: not negative, [draws, n].
    """
    by_image = weights.T
    positive = np.flatnonzero(labels)
    negative = np.flatnonzero(~labels)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.searchsorted(scores[negative], scores[positive], side="left")
    upto = np.searchsorted(scores[negative], scores[positive], side="right")
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    step = max(1, CELLS // max(1, len(labels)))
    for start in range(0, len(weights), step):
        block = slice(start, start + step)
        of_positive = by_image[positive, block].astype(float)
        seen = np.zeros((len(negative) + 1, of_positive.shape[1]))
        np.cumsum(by_image[negative, block], axis=0, out=seen[1:])
        wins[block] = (of_positive * (seen[below] + seen[upto])).sum(axis=0) / 2
        pairs[block] = of_positive.sum(axis=0) * seen[-1]
    return wins, pairs


def weighted_auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """The exact AUC of each draw, [draws]; NaN where a draw holds one class only.

    Args:
        labels: 1 or 0, [n].
        scores: finite, [n].
        weights: not negative, [draws, n].

    Raises:
        UserError: see `known_scores`; a label must be known here.
    """
    positive, score = known_scores(labels, scores)
    weight = np.atleast_2d(np.asarray(weights))
    if weight.shape[1] != len(positive):
        raise UserError(f"a weight is needed for each known label; got {weight.shape[1]} for {len(positive)}")
    return ratio(*weighted_pairs(positive, score, weight))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients, NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def percentile_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The k-th smallest and k-th largest draw, k = floor((1 - level) / 2 · (B + 1)); NaN draws are left out.

    `two_sided_p` falls to 1 - level exactly where this interval leaves 0 outside. NaN where there are too few draws.
    """
    kept = np.sort(values[~np.isnan(values)])
    k = int((1 - level) / 2 * (len(kept) + 1) + 1e-9)
    return (float(kept[k - 1]), float(kept[-k])) if k >= 1 else (np.nan, np.nan)


def two_sided_p(differences: np.ndarray) -> float:
    """Twice the smaller tail beyond 0, each (k + 1) / (B + 1) (Davison and Hinkley 1997, ch. 4), without NaN draws.

    >>> two_sided_p(np.array([0.1] * 98 + [-0.1]))
    0.04
    """
    kept = differences[~np.isnan(differences)]
    tail = min(int((kept <= 0).sum()), int((kept >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(kept) + 1)) if len(kept) else np.nan
