"""Areas under ROC curves, means and differences of them, with intervals by patients that need no draws.

The interval of one AUC holds every value that the score test keeps, with the variance that a binormal model has at that
value, times what the data say of it by each patient's influence (Newcombe 2006, doi:10.1002/sim.2324, method 5, does so
with the model of Hanley and McNeil), so it never ends beyond 0 or 1. At an AUC of 0 or 1 an exact bound stands in,
whatever the distribution. `benchmarks/interval_coverage.py` measures what these intervals cover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import rankdata
from scipy.stats import t as student

from cxrlens.errors import UserError
from cxrlens.evaluate.influence import (
    TAILS_TWO,
    TRAININGS,
    Influence,
    binormal_spread,
    mean_influence,
    off_the_edge,
    paired_variance,
    placements,
    satterthwaite,
    single_variance,
    training_gap,
    training_variance,
    with_trainings,
)

LEAST = 5  # patients of a class: below there is no interval
ROUGH = 10  # patients of a class: below an interval is called rough
EDGE = 1e-7  # of 0 and 1, where an AUC's spread vanishes
METHOD, BOUND = "score interval by patients", "exact bound by patients"


@dataclass(frozen=True)
class AucInterval:
    """An AUC with its intervals.

    Attributes:
        auc: the share of (positive, negative) pairs in the right order; of several trainings, the mean.
        low: of the interval by patients; NaN where `reason` says why.
        high: likewise.
        level: of the intervals.
        p: two-sided, of the AUC's being 0.5; NaN likewise.
        method: how the intervals were made.
        positives: positive images.
        negatives: negative images.
        patients: all patients.
        positive_patients: patients with a positive image.
        negative_patients: patients with a negative image.
        train_low: of the interval over patients and trainings; NaN with fewer than 3 trainings.
        train_high: likewise.
        reason: why there is no interval, else "".
    """

    auc: float
    low: float
    high: float
    level: float
    p: float
    method: str
    positives: int
    negatives: int
    patients: int
    positive_patients: int
    negative_patients: int
    train_low: float = np.nan
    train_high: float = np.nan
    reason: str = ""

    def __repr__(self) -> str:
        interval = f"no interval: {self.reason}" if self.reason else f"[{self.low:.3f}, {self.high:.3f}]"
        rough = ", rough" if self.rough else ""
        return (
            f"AUC {self.auc:.3f} {interval} ({100 * self.level:g}%, by patients{rough}); {self.positives} positive and "
            f"{self.negatives} negative images of {self.patients} patients"
        )

    @property
    def rough(self) -> bool:
        """Whether a class has 5 to 9 patients: the interval then covers between 93 and 98 of 100."""
        return not self.reason and min(self.positive_patients, self.negative_patients) < ROUGH


@dataclass(frozen=True)
class AucDifference:
    """An AUC minus another.

    Attributes:
        difference: the first minus the second.
        low: of the interval by patients; NaN where `reason` says why.
        high: likewise.
        p: two-sided, of no difference; at most 1 - level exactly where the interval leaves 0 outside.
        level: of the intervals.
        train_low: of the interval over patients and trainings; NaN with fewer than 3 trainings of either.
        train_high: likewise.
        train_p: of no difference, over both.
        reason: why there is no interval, else "".
    """

    difference: float
    low: float
    high: float
    p: float
    level: float
    train_low: float = np.nan
    train_high: float = np.nan
    train_p: float = np.nan
    reason: str = ""

    def __repr__(self) -> str:
        if self.reason:
            return f"AUC difference {self.difference:+.3f}, no interval: {self.reason}"
        p = f"p {self.p:.3f}" if self.p >= 0.001 else "p < 0.001"
        return (
            f"AUC difference {self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] ({100 * self.level:g}%, by "
            f"patients), {p}"
        )


def known_scores(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and scores as float [..., n] of the images whose label is known.

    Args:
        labels: 1, 0 or NaN (unknown: left out), [n].
        scores: any real numbers, higher means more positive, [n] or [k, n].

    Raises:
        UserError: a label is something else, a score is not finite, or a class has no image.
    """
    label = np.asarray(labels, dtype=float)
    score = np.asarray(scores, dtype=float)
    if label.ndim != 1 or score.shape[-1:] != label.shape:
        raise UserError(f"one score is needed for each label; got labels {label.shape} and scores {score.shape}")
    known = ~np.isnan(label)
    positive, score = label[known] == 1, score[..., known]
    if not (positive | (label[known] == 0)).all():
        raise UserError(f"labels are 1, 0 or NaN; got {np.unique(label[known]).tolist()[:5]}")
    if not np.isfinite(score).all():
        raise UserError(
            f"every score must be a finite number; {int((~np.isfinite(score)).sum())} of {score.size} are not"
        )
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        raise UserError(too_few(n_positive, n_negative, 1))
    return positive, score


def too_few(n_positive: int, n_negative: int, least: int = 2) -> str:
    """Why there is no AUC of so few images."""
    what = "this evaluation needs at least 2 images" if least > 1 else "an AUC needs at least 1 image"
    return f"{what} of each class; got {n_positive} positive and {n_negative} negative"


def without_auc(positive: np.ndarray, part: np.ndarray | None = None) -> str:
    """Why these images give no AUC that says anything, else "".

    Args:
        positive: bool [n].
        part: the fold of each image, [n], where scores are compared within a fold only.

    >>> without_auc(np.array([True, False, True, False]), np.array([0, 1, 0, 1]))
    'no fold holds images of both classes'
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < 2:
        return too_few(n_positive, n_negative)
    folds = [positive] if part is None else [positive[part == name] for name in np.unique(part)]
    return "" if any(fold.any() and not fold.all() for fold in folds) else "no fold holds images of both classes"


def too_few_patients(positive: int, negative: int) -> str:
    """Why there is no interval of so few patients of a class, else "".

    >>> too_few_patients(12, 4)
    'an interval needs at least 5 patients of each class; got 12 with positive and 4 with negative images'
    """
    if min(positive, negative) >= LEAST:
        return ""
    return (
        f"an interval needs at least {LEAST} patients of each class; got {positive} with positive and {negative} "
        "with negative images"
    )


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The share of (positive, negative) pairs in the right order, a tie counting one half.

    >>> auc([1, 1, 0, 0, float("nan")], [0.9, 0.4, 0.4, 0.1, 0.5])
    0.875

    Raises:
        UserError: see `known_scores`.
    """
    positive, score = known_scores(labels, scores)
    m, n = positive.sum(), (~positive).sum()
    return float((rankdata(score)[positive].sum() - m * (m + 1) / 2) / (m * n))


def auc_interval(labels: ArrayLike, scores: ArrayLike, patients: ArrayLike, *, level: float = 0.95) -> AucInterval:
    """The AUC of any predictions, with its interval by patients.

    Args:
        labels: 1, 0 or NaN (left out), [n]; here as elsewhere a list, an array, a column or a tensor.
        scores: higher means more positive, [n], or [trainings, n] of several trainings of one model.
        patients: an identifier for each image, [n]; images of one patient are taken as related.
        level: of the intervals, between 0 and 1.

    Raises:
        UserError: labels, scores and patients do not go together, or a class has no image.

    >>> found = auc_interval([1, 0] * 20, range(40), range(40))
    >>> round(found.auc, 3), round(found.low, 2), round(found.high, 2), found.rough
    (0.475, 0.3, 0.65, False)
    """
    positive, score, who = _checked(labels, scores, patients, level)
    return interval_of(mean_influence([placements(positive, each, who) for each in score]), positive, level)


def auc_difference(
    labels: ArrayLike, a: ArrayLike, b: ArrayLike, patients: ArrayLike, *, level: float = 0.95
) -> AucDifference:
    """The AUC of `a` minus that of `b`, two models on the same images, with its interval by patients.

    Args:
        labels: 1, 0 or NaN (left out), [n].
        a: scores of one model, [n] or [trainings, n].
        b: scores of the other, [n] or [trainings, n].
        patients: an identifier for each image, [n].
        level: of the intervals, between 0 and 1.

    Raises:
        UserError: see `auc_interval`.

    >>> found = auc_difference([1, 0] * 20, range(40), [x % 7 for x in range(40)], range(40))
    >>> round(found.difference, 3), found.low < 0 < found.high, found.p > 0.05
    (-0.031, True, True)
    """
    found = []
    for scores in (a, b):
        positive, score, who = _checked(labels, scores, patients, level)
        found.append(mean_influence([placements(positive, each, who) for each in score]))
    return difference_of(found[0], found[1], level)


def _checked(
    labels: ArrayLike, scores: ArrayLike, patients: ArrayLike, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    check_level(level)
    label, ids = _numbers(labels), np.asarray(patients)
    positive, score = known_scores(label, np.atleast_2d(_numbers(scores)))
    if ids.shape != label.shape:
        raise UserError(f"a patient is needed for each label; got patients {ids.shape} for labels {label.shape}")
    return positive, score, np.unique(ids[~np.isnan(label)].astype(str), return_inverse=True)[1]


def _numbers(values: ArrayLike) -> np.ndarray:
    """As float; of a PyTorch tensor its values, wherever it lies and whether or not it has a gradient."""
    detach = getattr(values, "detach", None)
    return np.asarray(detach().cpu() if detach else values, dtype=float)


def check_level(level: float) -> None:
    """Raises UserError where a confidence level does not lie between 0 and 1."""
    if not 0 < level < 1:
        raise UserError(f"a confidence level lies between 0 and 1, as 0.95; got {level}")


def interval_of(one: Influence, positive: np.ndarray | None = None, level: float = 0.95) -> AucInterval:
    """The interval of an AUC, and p of 0.5; `positive` (bool [n]) says how many images it is of."""
    counts = one.counts
    images = (0, 0) if positive is None else (int(positive.sum()), int((~positive).sum()))
    patients = int((one.shares > 0).any(axis=0).sum())
    told = (images[0], images[1], patients, counts[0], counts[1])
    if reason := too_few_patients(*counts):
        return AucInterval(one.value, np.nan, np.nan, level, np.nan, "none", *told, reason=reason)
    if one.value in (0, 1):
        pairs = max(1, min(*counts, patients // 2))
        ends, p = ordered_bound(one.value, pairs, level), 2 * 0.5**pairs
        train_low, train_high = ends if len(one.trainings) >= TRAININGS else (np.nan, np.nan)
        return AucInterval(one.value, ends[0], ends[1], level, p, BOUND, *told, train_low, train_high)
    scale, freedom = single_variance(one)
    low, high = score_ends(one.value, scale, freedom, level)
    p = float(2 * student.sf(abs(one.value - 0.5) / np.sqrt(scale * binormal_spread(0.5)), freedom))
    train_low, train_high = np.nan, np.nan
    if (extra := training_variance(one)) is not None:
        total, total_freedom = with_trainings(
            scale, freedom, extra[0] / binormal_spread(off_the_edge(one)), extra[1], one.overlap > 0
        )
        train_low, train_high = score_ends(one.value, total, total_freedom, level)
    return AucInterval(one.value, low, high, level, p, METHOD, *told, train_low, train_high)


def ordered_bound(auc: float, pairs: int, level: float = 0.95) -> tuple[float, float]:
    """The interval where every pair is in order (AUC 1) or none is (AUC 0), whatever the scores' distribution.

    The class with fewer patients gives that many disjoint, so independent, pairs, each in order with probability AUC.
    Clopper and Pearson's bound for no failure in as many trials follows: the "rule of three" (Hanley and Lippman-Hand
    1983, doi:10.1001/jama.1983.03330370053031) at the two-sided level.

    >>> round(ordered_bound(1.0, 17)[0], 3)
    0.805
    """
    bound = ((1 - level) / 2) ** (1 / pairs)
    return (bound, 1.0) if auc == 1 else (0.0, 1 - bound)


def difference_of(a: Influence, b: Influence, level: float = 0.95, apart: bool = False) -> AucDifference:
    """The AUC of `a` minus that of `b`.

    Args:
        a: one AUC.
        b: another, of the same patients in the same order; or of others.
        level: of the intervals.
        apart: whether the two are of other patients, so that their errors are independent.
    """
    gap = a.value - b.value
    reason = next((why for each in (a, b) if (why := too_few_patients(*each.counts))), "")
    if reason:
        return AucDifference(gap, np.nan, np.nan, np.nan, level, reason=reason)
    if apart:
        sides = [single_variance(each, TAILS_TWO / 2, 0.0) for each in (a, b)]
        of = [scale * binormal_spread(off_the_edge(each)) for each, (scale, _) in zip((a, b), sides, strict=True)]
        variance, freedom = satterthwaite(of, [freedom for _, freedom in sides])
    else:
        variance, freedom = paired_variance(a, b)
    low, high, p = _student(gap, variance, freedom, level)
    train = (np.nan, np.nan, np.nan)
    if (extra := training_gap(a, b, apart)) is not None:
        total, total_freedom = with_trainings(variance, freedom, *extra, min(a.overlap, b.overlap) > 0)
        train = _student(gap, total, total_freedom, level)
    return AucDifference(gap, low, high, p, level, *train)


def _student(gap: float, variance: float, freedom: float, level: float) -> tuple[float, float, float]:
    error = np.sqrt(variance)
    reach = float(student.ppf((1 + level) / 2, freedom) * error)
    return max(gap - reach, -1.0), min(gap + reach, 1.0), float(2 * student.sf(abs(gap) / error, freedom))


def score_ends(
    value: float, scale: float, freedom: float, level: float, spread: Callable[[float], float] = binormal_spread
) -> tuple[float, float]:
    """The values that the score test keeps: (estimate - value)² = t² · scale · spread(value) at both ends."""
    reach = float(student.ppf((1 + level) / 2, freedom) * np.sqrt(scale))

    def beyond(end: float) -> float:
        return abs(end - value) - reach * np.sqrt(max(spread(end), 0.0))

    def root(one: float, other: float) -> float:
        return float(cast(float, brentq(beyond, one, other)))

    least, most = EDGE, 1 - EDGE
    low = root(least, min(value, most)) if value > least and beyond(least) > 0 else 0.0
    high = root(max(value, least), most) if value < most and beyond(most) > 0 else 1.0
    return low, high
