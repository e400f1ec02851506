"""Areas under ROC curves, their means and differences, with intervals by patients that need no resampling.

The interval of one AUC holds every value that a score test does not reject. The test's variance is that of a binormal
model at the tested value, scaled by the ratio of the variance in the data (by each patient's influence) to the model's.
Newcombe 2006 (doi:10.1002/sim.2324, method 5) does so with the model of Hanley and McNeil. The interval never ends
beyond 0 or 1. At an AUC of 0 or 1 an exact bound is used, whatever the distribution. A difference has such an interval,
too, with the variance that the two AUCs have where they differ by the tested value.
`benchmarks/interval_coverage.py` measures the coverage of these intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import rankdata
from scipy.stats import t as student

from cxrlens.errors import UserError
from cxrlens.evaluate.influence import (
    MIN_TRAININGS,
    Influence,
    add_training_variance,
    auc_off_the_edge,
    binormal_variance,
    difference_variance,
    mean_influence,
    placements,
    single_variance,
    training_variance,
    training_variance_of_difference,
)

MIN_PATIENTS = 5  # fewest patients of a class for an interval
ROUGH = 10  # with fewer patients of a class, an interval is called rough
MARGIN = 1e-7  # distance from 0 and 1 at which the search for an interval's ends stops: there the variance vanishes
METHOD, BOUND = "score interval by patients", "exact bound by patients"


@dataclass(frozen=True)
class AucInterval:
    """An AUC with its intervals.

    Attributes:
        auc: the share of (positive, negative) pairs in the right order; of several trainings, the mean.
        low: lower end of the interval by patients; NaN where `reason` says why.
        high: upper end of the interval by patients; NaN where `reason` says why.
        level: confidence level of the intervals, between 0 and 1.
        p: two-sided p-value of the null that the AUC is 0.5; NaN where `reason` says why.
        method: how the intervals were made.
        positives: number of positive images.
        negatives: number of negative images.
        patients: number of patients.
        positive_patients: number of patients with a positive image.
        negative_patients: number of patients with a negative image.
        train_low: lower end of the interval over patients and trainings; NaN with fewer than 3 trainings.
        train_high: upper end of the interval over patients and trainings; NaN with fewer than 3 trainings.
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
        """Whether a class has 5 to 9 patients; a 95% interval then covers the AUC in 93 to 98 of 100 cases."""
        return not self.reason and min(self.positive_patients, self.negative_patients) < ROUGH


@dataclass(frozen=True)
class AucDifference:
    """The difference of two AUCs with its intervals.

    Attributes:
        difference: the first AUC minus the second.
        low: lower end of the interval by patients; NaN where `reason` says why.
        high: upper end of the interval by patients; NaN where `reason` says why.
        p: two-sided p-value of no difference, by patients; at most 1 - level exactly where the interval excludes 0.
        level: confidence level of the intervals, between 0 and 1.
        train_low: lower end of the interval over patients and trainings; NaN where a model has fewer than 3 trainings.
        train_high: upper end of the interval over patients and trainings; NaN where a model has fewer than 3 trainings.
        train_p: two-sided p-value of no difference, over patients and trainings; NaN where `train_low` is.
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
        scores: finite scores, higher means more positive, [n] or [k, n].

    Raises:
        UserError: a label is something else, a score is not finite, or a class has no image.
    """
    label = np.asarray(labels, dtype=float)
    score = np.asarray(scores, dtype=float)
    if label.ndim != 1 or score.shape[-1:] != label.shape or score.ndim > 2 or not len(np.atleast_2d(score)):
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
    """The reason why so few images give no AUC."""
    requirement = "this evaluation needs at least 2 images" if least > 1 else "an AUC needs at least 1 image"
    return f"{requirement} of each class; got {n_positive} positive and {n_negative} negative"


def no_auc_reason(positive: np.ndarray, folds: np.ndarray | None = None) -> str:
    """The reason why these images give no meaningful AUC, "" where they give one.

    Args:
        positive: whether each image is positive, bool [n].
        folds: fold of each image, [n], where scores are compared within a fold only.

    >>> no_auc_reason(np.array([True, False, True, False]), np.array([0, 1, 0, 1]))
    'no fold holds images of both classes'
    """
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if min(n_positive, n_negative) < 2:
        return too_few(n_positive, n_negative)
    of_folds = [positive] if folds is None else [positive[folds == fold] for fold in np.unique(folds)]
    return (
        ""
        if any(of_fold.any() and not of_fold.all() for of_fold in of_folds)
        else "no fold holds images of both classes"
    )


def too_few_patients(positive: int, negative: int) -> str:
    """The reason why so few patients of a class give no interval, "" where they are enough.

    >>> too_few_patients(12, 4)
    'an interval needs at least 5 patients of each class; got 12 with positive and 4 with negative images'
    """
    if min(positive, negative) >= MIN_PATIENTS:
        return ""
    return (
        f"an interval needs at least {MIN_PATIENTS} patients of each class; got {positive} with positive and "
        f"{negative} with negative images"
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
        labels: 1, 0 or NaN (left out), [n]; a list, an array, a table's column or a tensor.
        scores: scores of the images, higher means more positive, [n]; or [trainings, n] of several trainings of one
            model.
        patients: patient identifier of each image, [n]; images of one patient are taken as dependent.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: labels, scores and patients differ in length, a label or score is no number, a labelled image has no
            patient (None, NaN or an empty text), or a class has no image.

    >>> result = auc_interval([1, 0] * 20, range(40), range(40))
    >>> round(result.auc, 3), round(result.low, 2), round(result.high, 2), result.rough
    (0.475, 0.3, 0.65, False)
    """
    influence, positive = _influence(labels, scores, patients, level)
    return interval_of(influence, positive, level)


def auc_difference(
    labels: ArrayLike, a: ArrayLike, b: ArrayLike, patients: ArrayLike, *, level: float = 0.95
) -> AucDifference:
    """The AUC of model `a` minus the AUC of model `b` on the same images, with its interval by patients.

    Args:
        labels: 1, 0 or NaN (left out), [n].
        a: scores of one model, [n] or [trainings, n].
        b: scores of the other model, [n] or [trainings, n].
        patients: patient identifier of each image, [n].
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: see `auc_interval`.

    >>> result = auc_difference([1, 0] * 20, range(40), [x % 7 for x in range(40)], range(40))
    >>> round(result.difference, 3), result.low < 0 < result.high, result.p > 0.05
    (-0.031, True, True)
    """
    first, second = (_influence(labels, scores, patients, level)[0] for scores in (a, b))
    return difference_of(first, second, level)


def _influence(labels: ArrayLike, scores: ArrayLike, patients: ArrayLike, level: float) -> tuple[Influence, np.ndarray]:
    """Checks the arguments; the influence on the mean AUC over trainings, and which labelled images are positive."""
    check_level(level)
    label, ids = _numbers(labels, "labels"), np.asarray(patients)
    positive, score = known_scores(label, np.atleast_2d(_numbers(scores, "scores")))
    if ids.shape != label.shape:
        raise UserError(f"a patient is needed for each label; got patients {ids.shape} for labels {label.shape}")
    ids = ids[~np.isnan(label)]
    if unnamed := int((pd.isna(ids) | (ids.astype(str) == "")).sum()):
        raise UserError(
            f"{unnamed} of {len(ids)} labelled images have no patient, and images of one patient are dependent; leave "
            "them out, or give each a patient of its own"
        )
    patient_numbers = np.unique(ids.astype(str), return_inverse=True)[1]
    return mean_influence([placements(positive, row, patient_numbers) for row in score]), positive


def _numbers(values: ArrayLike, title: str) -> np.ndarray:
    """Values as a float array; a PyTorch tensor may lie on any device, may need a gradient and have any precision."""
    detach = getattr(values, "detach", None)
    try:
        return np.asarray(detach().double().cpu() if detach else values, dtype=float)
    except (TypeError, ValueError) as error:
        raise UserError(f"{title} must be an array of numbers; got {type(values).__name__} ({error})") from None


def check_level(level: float) -> None:
    """Raises UserError where a confidence level does not lie between 0 and 1."""
    if not (isinstance(level, Real) and 0 < level < 1):
        raise UserError(f"a confidence level lies between 0 and 1, as 0.95; got {level}")


def interval_of(influence: Influence, positive: np.ndarray | None = None, level: float = 0.95) -> AucInterval:
    """The interval of an AUC, and the p-value of the null that it is 0.5.

    Args:
        influence: the AUC and each patient's influence on it.
        positive: whether each image is positive, bool [n], from which the numbers of images come; 0 without it.
        level: confidence level of the intervals, between 0 and 1.
    """
    counts = influence.counts
    images = (0, 0) if positive is None else (int(positive.sum()), int((~positive).sum()))
    patients = int((influence.shares > 0).any(axis=0).sum())
    numbers = (images[0], images[1], patients, counts[0], counts[1])
    if reason := too_few_patients(*counts):
        return AucInterval(influence.value, np.nan, np.nan, level, np.nan, "none", *numbers, reason=reason)
    if influence.value in (0, 1):
        pairs = max(1, min(*counts, patients // 2))
        ends, p = ordered_bound(influence.value, pairs, level), 2 * 0.5**pairs
        train_low, train_high = ends if len(influence.trainings) >= MIN_TRAININGS else (np.nan, np.nan)
        return AucInterval(influence.value, ends[0], ends[1], level, p, BOUND, *numbers, train_low, train_high)
    scale, freedom = single_variance(influence)
    low, high = score_ends(influence.value, scale, freedom, level)
    p = float(2 * student.sf(abs(influence.value - 0.5) / np.sqrt(scale * binormal_variance(0.5)), freedom))
    train_low, train_high = np.nan, np.nan
    if (extra := training_variance(influence)) is not None:
        total, total_freedom = add_training_variance(
            scale, freedom, extra[0] / binormal_variance(auc_off_the_edge(influence)), extra[1], influence.overlap > 0
        )
        train_low, train_high = score_ends(influence.value, total, total_freedom, level)
    return AucInterval(influence.value, low, high, level, p, METHOD, *numbers, train_low, train_high)


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


def difference_of(a: Influence, b: Influence, level: float = 0.95, independent: bool = False) -> AucDifference:
    """The AUC of `a` minus the AUC of `b`.

    Args:
        a: one AUC.
        b: the other AUC, of the same patients in the same order unless `independent`.
        level: confidence level of the intervals, between 0 and 1.
        independent: whether the two are of different patients, so that their errors are independent.
    """
    difference = a.value - b.value
    reason = too_few_patients(*a.counts) or too_few_patients(*b.counts)
    if reason:
        return AucDifference(difference, np.nan, np.nan, np.nan, level, reason=reason)
    variance = difference_variance(a, b, independent)
    low, high, p = _score_test(difference, variance.at, variance.freedom, level)
    train = (np.nan, np.nan, np.nan)
    if (extra := training_variance_of_difference(a, b, independent)) is not None:
        folds = min(a.overlap, b.overlap) > 0
        freedom = add_training_variance(variance.at(difference), variance.freedom, *extra, folds)[1]
        total = lambda tested: add_training_variance(variance.at(tested), freedom, *extra, folds)[0]  # noqa: E731
        train = _score_test(difference, total, freedom, level)
    return AucDifference(difference, low, high, p, level, *train)


def _score_test(
    difference: float, variance: Callable[[float], float], freedom: float, level: float
) -> tuple[float, float, float]:
    """Ends of the score interval of a difference, and the two-sided p-value of 0."""
    p = float(2 * student.sf(abs(difference) / np.sqrt(variance(0.0)), freedom))
    return *score_ends(difference, 1.0, freedom, level, variance, (-1.0, 1.0)), p


def score_ends(
    value: float,
    scale: float,
    freedom: float,
    level: float,
    model: Callable[[float], float] = binormal_variance,
    limits: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float]:
    """Ends of a score interval: (estimate - end)² = t² · scale · model(end).

    Args:
        value: the estimate.
        scale: variance of the estimate as a multiple of the model's variance.
        freedom: degrees of freedom of `scale`.
        level: confidence level of the interval, between 0 and 1.
        model: variance at a value; 0 at both limits, or more.
        limits: lowest and highest possible value.
    """
    reach = float(student.ppf((1 + level) / 2, freedom) * np.sqrt(scale))

    def beyond(end: float) -> float:
        return abs(end - value) - reach * np.sqrt(max(model(end), 0.0))

    def root(lower: float, upper: float) -> float:
        return float(cast(float, brentq(beyond, lower, upper)))

    bottom, top = limits[0] + MARGIN, limits[1] - MARGIN
    low = root(bottom, min(value, top)) if value > bottom and beyond(bottom) > 0 else limits[0]
    high = root(max(value, bottom), top) if value < top and beyond(top) > 0 else limits[1]
    return low, high
