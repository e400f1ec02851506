"""Areas under ROC curves, means and differences of them, with intervals by patients that need no draws.

An AUC is linear in each image's placement, the share of the other class that it beats (DeLong et al. 1988,
doi:10.2307/2531595). Placements summed by patient give each patient's influence, and the squares of the influences
give the variance where a patient has several images (Obuchowski 1997, doi:10.2307/2533958), each inflated by its
leverage (CR2; Bell and McCaffrey 2002). The interval of one AUC holds every value that the score test keeps, with the
variance that a binormal model has at that value, times what the data say of it (Newcombe 2006, doi:10.1002/sim.2324,
method 5, does so with the model of Hanley and McNeil), so it never ends beyond 0 or 1. At an AUC of 0 or 1 an exact
bound stands in, whatever the distribution. Degrees of freedom are Satterthwaite's.
`benchmarks/interval_coverage.py` measures what these intervals cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri, owens_t
from scipy.stats import rankdata
from scipy.stats import t as student

from cxrlens.errors import UserError

LEAST = 5  # patients of a class: below there is no interval
ROUGH = 10  # patients of a class: below an interval is called rough
TRAININGS = 3  # networks of a row: from there an interval over patients and trainings is given
PRIOR = 1.0  # degrees of freedom that the binormal variance counts for, beside the data's own
TAILS_ONE, TAILS_TWO = 0.05, 0.8  # share of the binormal placements' kurtosis that lowers the degrees of freedom
EDGE = 1e-7  # of 0 and 1, where an AUC's spread vanishes
METHOD, BOUND = "score interval by patients", "exact bound by patients"
NODES, MASS = np.polynomial.hermite_e.hermegauss(60)
MASS = MASS / MASS.sum()


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


@dataclass(frozen=True, eq=False)
class Influence:
    """An AUC (or a mean of AUCs on the same patients) and what each patient adds to its error.

    Attributes:
        value: the AUC.
        parts: of each class's images of a patient, [2, patients]: positive images first; each row sums to 0.
        shares: of the class's weight that the patient's images have, [2, patients]; each row sums to 1.
        trainings: AUC of each training: of each seed, or of each fold where one seed has several.
        overlap: validation images over training images where `trainings` are folds, else 0.
    """

    value: float
    parts: np.ndarray
    shares: np.ndarray
    trainings: tuple[float, ...] = ()
    overlap: float = 0.0

    @property
    def counts(self) -> tuple[int, int]:
        """Patients with a positive image, and with a negative one."""
        positive, negative = (self.shares > 0).sum(axis=1).tolist()
        return positive, negative


def known_scores(labels: ArrayLike, scores: ArrayLike, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and scores as float [..., n] of the images whose label is known.

    Args:
        labels: 1, 0 or NaN (unknown: left out), [n].
        scores: any real numbers, higher means more positive, [n] or [k, n].
        least: images needed of each class.

    Raises:
        UserError: a label is something else, a score is not finite, or a class has fewer than `least` images.
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
    if min(n_positive, n_negative) < least:
        raise UserError(too_few(n_positive, n_negative, least))
    return positive, score


def too_few(n_positive: int, n_negative: int, least: int = 2) -> str:
    """Why there is no AUC (or no interval of it) from so few images."""
    what = "an AUC interval needs at least 2 images" if least > 1 else "an AUC needs at least 1 image"
    return f"{what} of each class; got {n_positive} positive and {n_negative} negative"


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


def auc_interval(labels: ArrayLike, scores: ArrayLike, patients: ArrayLike, level: float = 0.95) -> AucInterval:
    """The AUC of any predictions, with its interval by patients.

    Args:
        labels: 1, 0 or NaN (left out), [n].
        scores: higher means more positive, [n], or [trainings, n] of several trainings of one model.
        patients: an identifier for each image, [n]; images of one patient are taken as related.
        level: of the intervals, between 0 and 1.

    Raises:
        UserError: labels, scores and patients do not go together, or a class has no image.

    >>> found = auc_interval([1, 0] * 20, range(40), range(40))
    >>> round(found.auc, 3), round(found.low, 2), round(found.high, 2), found.rough
    (0.475, 0.3, 0.65, False)
    """
    positive, score, who, _ = _checked(labels, np.atleast_2d(np.asarray(scores, dtype=float)), patients, level)
    return interval_of(mean_influence([placements(positive, each, who) for each in score]), positive, level)


def auc_difference(
    labels: ArrayLike, a: ArrayLike, b: ArrayLike, patients: ArrayLike, level: float = 0.95
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
        positive, score, who, _ = _checked(labels, np.atleast_2d(np.asarray(scores, dtype=float)), patients, level)
        found.append(mean_influence([placements(positive, each, who) for each in score]))
    return difference_of(found[0], found[1], level)


def _checked(
    labels: ArrayLike, scores: np.ndarray, patients: ArrayLike, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    check_level(level)
    positive, score = known_scores(labels, scores)
    label, ids = np.asarray(labels, dtype=float), np.asarray(patients)
    if ids.shape != label.shape:
        raise UserError(f"a patient is needed for each label; got patients {ids.shape} for labels {label.shape}")
    names, who = np.unique(ids[~np.isnan(label)].astype(str), return_inverse=True)
    return positive, score, who, names


def check_level(level: float) -> None:
    """Raises UserError where a confidence level does not lie between 0 and 1."""
    if not 0 < level < 1:
        raise UserError(f"a confidence level lies between 0 and 1, as 0.95; got {level}")


def placements(
    positive: np.ndarray, scores: np.ndarray, who: np.ndarray, patients: int = 0, part: np.ndarray | None = None
) -> Influence:
    """The influence of each patient on one AUC: of all pairs, or of pairs within a part only, each pair weighing alike.

    Args:
        positive: bool [n].
        scores: finite [n].
        who: the patient of each image as a number from 0, [n].
        patients: how many there are; by default the largest number and one.
        part: of each image, such as its fold or source, [n]: scores of different parts are not compared.
    """
    parts = np.zeros(len(positive), dtype=int) if part is None else part
    count = max(patients, int(who.max()) + 1)
    beaten, weight = np.zeros(len(positive)), np.zeros(len(positive))
    for name in np.unique(parts):
        rows = np.flatnonzero(parts == name)
        label, score = positive[rows], scores[rows]
        m, n = int(label.sum()), int((~label).sum())
        if not m or not n:
            continue
        ranks = rankdata(score)
        beaten[rows[label]] = ranks[label] - rankdata(score[label])
        beaten[rows[~label]] = m - ranks[~label] + rankdata(score[~label])
        weight[rows[label]], weight[rows[~label]] = n, m
    pairs = weight[positive].sum()
    assert pairs > 0, "no pair of a positive and a negative image in one part"
    value = float(beaten[positive].sum() / pairs)
    error = (beaten - value * weight) / pairs
    sides = [(error[side], weight[side] / pairs, who[side]) for side in (positive, ~positive)]
    return Influence(
        value,
        np.stack([np.bincount(ids, each, count) for each, _, ids in sides]),
        np.stack([np.bincount(ids, each, count) for _, each, ids in sides]),
        (value,),
    )


def mean_influence(of: Sequence[Influence]) -> Influence:
    """The mean of AUCs on the same patients, such as of several trainings, each of which is kept."""
    return Influence(
        float(np.mean([each.value for each in of])),
        np.mean([each.parts for each in of], axis=0),
        np.mean([each.shares for each in of], axis=0),
        tuple(value for each in of for value in each.trainings),
    )


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
    scale, freedom = _scale(one)
    low, high = score_ends(one.value, scale, freedom, level)
    p = float(2 * student.sf(abs(one.value - 0.5) / np.sqrt(scale * _spread(0.5)), freedom))
    train_low, train_high = np.nan, np.nan
    if (extra := _training(one)) is not None:
        total, total_freedom = _total(scale, freedom, extra[0] / _spread(_inside(one)), extra[1], one.overlap > 0)
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
        sides = [_scale(each, TAILS_TWO / 2, 0.0) for each in (a, b)]
        of = [scale * _spread(_inside(each)) for each, (scale, _) in zip((a, b), sides, strict=True)]
        variance, freedom = _satterthwaite(of, [freedom for _, freedom in sides])
    else:
        variance, freedom = _paired(a, b)
    low, high, p = _student(gap, variance, freedom, level)
    train = (np.nan, np.nan, np.nan)
    if (extra := _training_gap(a, b, apart)) is not None:
        total, total_freedom = _total(variance, freedom, *extra, min(a.overlap, b.overlap) > 0)
        train = _student(gap, total, total_freedom, level)
    return AucDifference(gap, low, high, p, level, *train)


def _student(gap: float, variance: float, freedom: float, level: float) -> tuple[float, float, float]:
    error = np.sqrt(variance)
    reach = float(student.ppf((1 + level) / 2, freedom) * error)
    return max(gap - reach, -1.0), min(gap + reach, 1.0), float(2 * student.sf(abs(gap) / error, freedom))


def _inflated(parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The influences, each divided by what its own patient takes away from it (CR2): [2, patients]."""
    return parts / np.sqrt(np.maximum(1 - shares, 1e-9))


def _scale(one: Influence, tails: float = TAILS_ONE, gained: float = PRIOR) -> tuple[float, float]:
    """The variance by patients as a multiple of `_spread`, and its degrees of freedom.

    Each class's sum of squares is drawn towards that of as many single images by the binormal model, which weighs as
    much as `PRIOR` degrees of freedom; where the data show no spread at all (equal scores), it stands alone.

    Args:
        one: the AUC.
        tails: share of the influences' excess kurtosis that counts.
        gained: degrees of freedom that the model adds to the data's: none on the plain scale of a difference, which
            is skewed near an AUC of 1.
    """
    errors = _inflated(one.parts, one.shares)
    counts = np.array(one.counts)
    model = _spread(_inside(one))
    own = (errors**2).sum(axis=1)
    freedom = _class_freedom(counts, tails * _tail(_inside(one), counts))
    if 0 < one.value < 1 and own.sum() > 1e-20:
        of_class = (freedom * own / model + PRIOR / counts) / (freedom + PRIOR)
    else:
        of_class = 1 / counts
    return _both_classes(of_class, freedom + gained, errors, one.shares > 0)


def _paired(a: Influence, b: Influence) -> tuple[float, float]:
    """The variance of a difference on the same patients, and its degrees of freedom; never 0.

    The model weighs as much as `PRIOR` degrees of freedom here, too, with the two AUCs' own correlation.
    """
    shares = (a.shares + b.shares) / 2
    errors = _inflated(a.parts - b.parts, shares)
    sides = [_inflated(each.parts, each.shares).sum(axis=0) for each in (a, b)]
    counts = (shares > 0).sum(axis=1)
    models = [_spread(_inside(each)) for each in (a, b)]
    size = float(np.sqrt((sides[0] @ sides[0]) * (sides[1] @ sides[1])))
    alike = float(np.clip(sides[0] @ sides[1] / size, 0.5, 0.9)) if size > 1e-20 else 0.5
    model = models[0] + models[1] - 2 * alike * float(np.sqrt(models[0] * models[1]))
    tail = sum(m**2 * _tail(_inside(each), counts) for m, each in zip(models, (a, b), strict=True)) / sum(models) ** 2
    freedom = _class_freedom(counts, TAILS_TWO * tail)
    of_class = (freedom * (errors**2).sum(axis=1) + PRIOR * model / counts) / (freedom + PRIOR)
    return _both_classes(of_class, freedom, errors, shares > 0)


def _both_classes(
    of_class: np.ndarray, freedom: np.ndarray, errors: np.ndarray, there: np.ndarray
) -> tuple[float, float]:
    """The two classes' variances together, with what patients with images of both have in common.

    The degrees of freedom are Satterthwaite's, each patient's square counted once: where every patient has images of
    both classes they come to I - 1, not to twice as many.
    """
    own = (errors**2).sum(axis=1)
    size = float(np.sqrt(own[0] * own[1]))
    cross = float(errors[0] @ errors[1]) / size * float(np.sqrt(of_class[0] * of_class[1])) if size > 1e-20 else 0.0
    total = max(float(of_class.sum()) + 2 * cross, 1e-3 * float(of_class.sum()))
    counts, both = there.sum(axis=1), int(there.all(axis=0).sum())
    if not both:
        return total, max(_satterthwaite(of_class, freedom)[1], 1.0)
    each = of_class / np.sqrt(counts * freedom)  # a patient's part, as large as the class's degrees of freedom make it
    spread = (counts - both) @ each**2 + both * max(float(each.sum()) + 2 * cross / both, 0.0) ** 2
    return total, max(total**2 / spread, 1.0) if spread > 0 else 1.0


def _satterthwaite(variances: ArrayLike, freedom: ArrayLike) -> tuple[float, float]:
    of, df = np.asarray(variances, dtype=float), np.asarray(freedom, dtype=float)
    return float(of.sum()), float(of.sum() ** 2 / (of**2 / df).sum())


def _class_freedom(counts: np.ndarray, tail: float) -> np.ndarray:
    """Degrees of freedom of a class's sum of squares: I - 1, and fewer where influences have long tails."""
    return 2 / (2 / (counts - 1) + max(tail, 0.0) / counts)


def _tail(value: float, counts: np.ndarray) -> float:
    """Excess kurtosis of the influences at an AUC; nearer to 0 or 1 than half a patient it would be all that counts."""
    edge = 0.5 / counts.min()
    return _kurtosis(min(max(value, edge), 1 - edge))


def _training(one: Influence) -> tuple[float, float] | None:
    """What training again adds to the variance of a mean over trainings, and its degrees of freedom."""
    count = len(one.trainings)
    if count < TRAININGS:
        return None
    return float(np.var(one.trainings, ddof=1)) * (1 / count + one.overlap), count - 1


def _training_gap(a: Influence, b: Influence, apart: bool) -> tuple[float, float] | None:
    """The same of a difference: folds are paired; seeds of two models are not, which is safe where they go together."""
    one, other = _training(a), _training(b)
    if one is None or other is None:
        return None
    if min(a.overlap, b.overlap) > 0 and not apart and len(a.trainings) == len(b.trainings):
        gaps = np.subtract(a.trainings, b.trainings)
        return float(np.var(gaps, ddof=1)) * (1 / len(gaps) + a.overlap), len(gaps) - 1
    if one[0] + other[0] <= 0:
        return 0.0, one[1] + other[1]
    return _satterthwaite([one[0], other[0]], [one[1], other[1]])


def _total(variance: float, freedom: float, extra: float, extra_freedom: float, folds: bool) -> tuple[float, float]:
    """Variance over patients and trainings: of folds, the spread holds the patients' part already."""
    if folds:
        return (extra, extra_freedom) if extra > variance else (variance, min(freedom, extra_freedom))
    return (variance, freedom) if extra <= 0 else _satterthwaite([variance, extra], [freedom, extra_freedom])


def _inside(one: Influence) -> float:
    """The AUC, moved off 0 and 1 by half a pair of patients."""
    edge = 0.5 / (one.counts[0] * one.counts[1])
    return min(max(one.value, edge), 1 - edge)


def _spread(value: float) -> float:
    """Variance of a placement where both classes' scores are normal with one standard deviation and this AUC.

    >>> round(_spread(0.5), 6), round(_spread(0.9), 4)
    (0.083333, 0.0224)
    """
    return float(value - 2 * owens_t(ndtri(value), 1 / np.sqrt(3)) - value**2)


def _kurtosis(value: float) -> float:
    """Excess kurtosis of a placement under the same model: 6 at an AUC of 0.9."""
    placed = ndtr(np.sqrt(2) * ndtri(value) - NODES)
    off = placed - MASS @ placed
    return float(MASS @ off**4 / (MASS @ off**2) ** 2 - 3)


def score_ends(
    value: float, scale: float, freedom: float, level: float, spread: Callable[[float], float] = _spread
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


@dataclass(frozen=True)
class PublishedAuc:
    """An AUC that was published without an interval, and Hanley and McNeil's."""

    auc: float
    low: float
    high: float
    level: float


def hanley_mcneil(auc: float, n_positive: int, n_negative: int, level: float = 0.95) -> PublishedAuc:
    """The interval that a published AUC has by its counts alone, on the logit scale, images taken as independent.

    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747, whose model has negative exponential scores.

    >>> estimate = hanley_mcneil(0.672, 79, 17)
    >>> round(estimate.low, 2), round(estimate.high, 2)
    (0.53, 0.79)
    """
    if not 0 < auc < 1:
        raise UserError(f"an interval by counts alone needs an AUC between 0 and 1; got {auc}")
    if min(n_positive, n_negative) < 2:
        raise UserError(too_few(n_positive, n_negative))
    check_level(level)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    reach = ndtri((1 + level) / 2) * np.sqrt(spread / (n_positive * n_negative)) / (auc * (1 - auc))
    return PublishedAuc(auc, float(expit(logit(auc) - reach)), float(expit(logit(auc) + reach)), level)
