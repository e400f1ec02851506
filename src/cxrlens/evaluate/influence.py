"""Each patient's influence on an AUC, and the variance and degrees of freedom that the influences give.

An AUC is linear in each image's placement, the share of the other class that it beats (DeLong et al. 1988,
doi:10.2307/2531595). Placements summed by patient give each patient's influence, and the squares of the influences
give the variance where a patient has several images (Obuchowski 1997, doi:10.2307/2533958), each inflated by its
leverage (CR2; Bell and McCaffrey 2002). Degrees of freedom are Satterthwaite's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, owens_t
from scipy.stats import rankdata

MIN_TRAININGS = 3  # fewest trainings of a model that give an interval over patients and trainings
PRIOR_FREEDOM = 1.0  # weight of the binormal model's variance, in degrees of freedom, beside the data's own
# The same of a difference, where it is one for each AUC, and the correlation of the two AUCs' errors in the model.
PAIRED_PRIOR_FREEDOM, PRIOR_CORRELATION = 2.0, 0.5
# Share of the excess kurtosis of binormal placements that lowers the degrees of freedom: of one AUC, of a difference.
SINGLE_TAIL_SHARE, PAIRED_TAIL_SHARE = 0.05, 0.4
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass(frozen=True, eq=False)
class Influence:
    """An AUC (or a mean of AUCs on the same patients) and what each patient adds to its error.

    Attributes:
        value: the AUC.
        parts: influence of each patient's images of a class, [2, patients]; row 0 is of the positive images, and each
            row sums to 0.
        shares: share of the class's weight that each patient's images have, [2, patients]; each row sums to 1.
        trainings: AUC of each training: one for each seed, or one for each fold where a single seed has several folds.
        overlap: ratio of validation images to training images where `trainings` are folds, else 0.
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


def placements(
    positive: np.ndarray,
    scores: np.ndarray,
    patient_numbers: np.ndarray,
    patients: int = 0,
    strata: np.ndarray | None = None,
) -> Influence:
    """The influence of each patient on one AUC, in which every pair of images weighs the same.

    Args:
        positive: whether each image is positive, bool [n].
        scores: score of each image, finite, float [n]; higher means more positive.
        patient_numbers: patient of each image as a number from 0, int [n].
        patients: number of patients; by default the largest patient number plus one.
        strata: stratum of each image, such as its fold or source, [n]; scores of different strata are not compared,
            and only pairs within a stratum count.
    """
    stratum_of = np.zeros(len(positive), dtype=int) if strata is None else strata
    count = max(patients, int(patient_numbers.max()) + 1)
    beaten, weight = np.zeros(len(positive)), np.zeros(len(positive))
    for stratum in np.unique(stratum_of):
        rows = np.flatnonzero(stratum_of == stratum)
        label, score = positive[rows], scores[rows]
        m, n = int(label.sum()), int((~label).sum())
        if not m or not n:
            continue
        ranks = rankdata(score)
        beaten[rows[label]] = ranks[label] - rankdata(score[label])
        beaten[rows[~label]] = m - ranks[~label] + rankdata(score[~label])
        weight[rows[label]], weight[rows[~label]] = n, m
    pairs = weight[positive].sum()
    assert pairs > 0, "no stratum has a positive and a negative image"
    value = float(beaten[positive].sum() / pairs)
    error = (beaten - value * weight) / pairs
    classes = [(error[rows], weight[rows] / pairs, patient_numbers[rows]) for rows in (positive, ~positive)]
    return Influence(
        value,
        np.stack([np.bincount(ids, errors, count) for errors, _, ids in classes]),
        np.stack([np.bincount(ids, weights, count) for _, weights, ids in classes]),
        (value,),
    )


def mean_influence(influences: Sequence[Influence]) -> Influence:
    """The mean of several AUCs on the same patients, such as those of several trainings; `trainings` lists them all."""
    return Influence(
        float(np.mean([influence.value for influence in influences])),
        np.mean([influence.parts for influence in influences], axis=0),
        np.mean([influence.shares for influence in influences], axis=0),
        tuple(value for influence in influences for value in influence.trainings),
    )


def inflated(parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The influences, each divided by the root of 1 minus its patient's leverage (CR2), [2, patients]."""
    return parts / np.sqrt(np.maximum(1 - shares, 1e-9))


def single_variance(
    influence: Influence, tail_share: float = SINGLE_TAIL_SHARE, extra_freedom: float = PRIOR_FREEDOM
) -> tuple[float, float]:
    """The variance by patients as a multiple of `binormal_variance`, and its degrees of freedom.

    Each class's sum of squares is shrunk towards the sum that the binormal model expects of as many independent images.
    The model weighs as much as `PRIOR_FREEDOM` degrees of freedom. Where the data show no spread at all (equal scores),
    the model's value is used alone.

    Args:
        influence: the AUC and each patient's influence on it.
        tail_share: share of the influences' excess kurtosis that lowers the degrees of freedom.
        extra_freedom: degrees of freedom that the model adds to those of the data; 0 for a difference.

    Returns:
        The variance divided by `binormal_variance`, and its degrees of freedom.
    """
    errors = inflated(influence.parts, influence.shares)
    counts = np.array(influence.counts)
    model = binormal_variance(auc_off_the_edge(influence))
    own = (errors**2).sum(axis=1)
    freedom = _class_freedom(counts, tail_share * _tail(auc_off_the_edge(influence), counts))
    if 0 < influence.value < 1 and own.sum() > 1e-20:
        of_class = (freedom * own / model + PRIOR_FREEDOM / counts) / (freedom + PRIOR_FREEDOM)
    else:
        of_class = 1 / counts
    return _both_classes(of_class, freedom + extra_freedom, errors, influence.shares > 0)


@dataclass(frozen=True)
class DifferenceVariance:
    """The variance of a difference of two AUCs, which depends on the difference that is tested.

    Attributes:
        values: the two AUCs, off 0 and 1.
        factors: variance of each AUC as a multiple of `binormal_variance`.
        correlation: correlation of the two AUCs' errors, between -1 and 1.
        freedom: degrees of freedom.
    """

    values: tuple[float, float]
    factors: tuple[float, float]
    correlation: float
    freedom: float

    def at(self, difference: float) -> float:
        """Variance where the AUCs differ by `difference`: both move by the same amount, and stay between 0 and 1."""
        first = (sum(self.values) + difference) / 2
        first = min(max(first, difference, 0.0), 1.0 + min(difference, 0.0))
        a, b = (
            factor * binormal_variance(value)
            for factor, value in zip(self.factors, (first, first - difference), strict=True)
        )
        return max(a + b - 2 * self.correlation * float(np.sqrt(max(a * b, 0.0))), 0.0)


def difference_variance(a: Influence, b: Influence, independent: bool = False) -> DifferenceVariance:
    """The variance of the AUC of `a` minus the AUC of `b`, and its degrees of freedom.

    On the same patients, the two AUCs' errors correlate as their influences do, and one factor holds for both AUCs: the
    variance of the influences' differences as a multiple of the model's. The model, in which the errors correlate by
    `PRIOR_CORRELATION`, weighs as much as `PAIRED_PRIOR_FREEDOM` degrees of freedom. It is used alone where both AUCs
    are exactly 0 or 1.

    Args:
        a: one AUC.
        b: the other AUC, of the same patients in the same order unless `independent`.
        independent: whether the two are of different patients, so that their errors are independent.
    """
    values = (auc_off_the_edge(a), auc_off_the_edge(b))
    models = np.array([binormal_variance(value) for value in values])
    if independent:
        (first, df_first), (second, df_second) = (single_variance(one, PAIRED_TAIL_SHARE, 0.0) for one in (a, b))
        freedom = satterthwaite(np.multiply((first, second), models), (df_first, df_second))[1]
        return DifferenceVariance(values, (first, second), 0.0, freedom)
    shares = (a.shares + b.shares) / 2
    counts = (shares > 0).sum(axis=1)
    correlation = _correlation(a, b, int(counts.min()) - 1)
    model = float(models.sum() - 2 * correlation * np.sqrt(models.prod()))
    tails = np.array([_tail(value, counts) for value in values])
    class_freedom = _class_freedom(counts, PAIRED_TAIL_SHARE * float((models**2 @ tails) / models.sum() ** 2))
    errors = inflated(a.parts - b.parts, shares)
    of_class = (class_freedom * (errors**2).sum(axis=1) / model + PAIRED_PRIOR_FREEDOM / counts) / (
        class_freedom + PAIRED_PRIOR_FREEDOM
    )
    if a.value in (0, 1) and b.value in (0, 1):
        of_class = 1 / counts
    factor, freedom = _both_classes(of_class, class_freedom, errors, shares > 0)
    return DifferenceVariance(values, (factor, factor), correlation, freedom)


def _correlation(a: Influence, b: Influence, freedom: int) -> float:
    """Correlation of the influences, shrunk towards `PRIOR_CORRELATION`; that alone where an AUC has no spread."""
    one, other = (inflated(influence.parts, influence.shares).sum(axis=0) for influence in (a, b))
    size = float(np.sqrt((one @ one) * (other @ other)))
    if size <= 1e-20:
        return PRIOR_CORRELATION
    shrunk = freedom * float(one @ other) / size + PAIRED_PRIOR_FREEDOM * PRIOR_CORRELATION
    return shrunk / (freedom + PAIRED_PRIOR_FREEDOM)


def _both_classes(
    of_class: np.ndarray, freedom: np.ndarray, errors: np.ndarray, has_images: np.ndarray
) -> tuple[float, float]:
    """The variance over both classes and its degrees of freedom, with the covariance of patients who are in both.

    The degrees of freedom are Satterthwaite's and count each patient once: where all I patients have images of both
    classes, they are I - 1 and not 2 (I - 1).

    Args:
        of_class: variance of each class, [2].
        freedom: degrees of freedom of each class, [2].
        errors: inflated influences, [2, patients].
        has_images: whether the patient has images of the class, bool [2, patients].
    """
    own = (errors**2).sum(axis=1)
    size = float(np.sqrt(own[0] * own[1]))
    cross = float(errors[0] @ errors[1]) / size * float(np.sqrt(of_class[0] * of_class[1])) if size > 1e-20 else 0.0
    total = max(float(of_class.sum()) + 2 * cross, 1e-3 * float(of_class.sum()))
    counts, both = has_images.sum(axis=1), int(has_images.all(axis=0).sum())
    if not both:
        return total, max(satterthwaite(of_class, freedom)[1], 1.0)
    of_patient = of_class / np.sqrt(counts * freedom)  # a patient's part, scaled by the class's degrees of freedom
    spread = (counts - both) @ of_patient**2 + both * max(float(of_patient.sum()) + 2 * cross / both, 0.0) ** 2
    return total, max(total**2 / spread, 1.0) if spread > 0 else 1.0


def satterthwaite(variances: ArrayLike, freedom: ArrayLike) -> tuple[float, float]:
    """The sum of independent variances, and its degrees of freedom (Satterthwaite 1946)."""
    values, df = np.asarray(variances, dtype=float), np.asarray(freedom, dtype=float)
    return float(values.sum()), float(values.sum() ** 2 / (values**2 / df).sum())


def _class_freedom(counts: np.ndarray, tail: float) -> np.ndarray:
    """Degrees of freedom of a class's sum of squares: I - 1, and fewer where influences have long tail_share."""
    return 2 / (2 / (counts - 1) + max(tail, 0.0) / counts)


def _tail(value: float, counts: np.ndarray) -> float:
    """Excess kurtosis of the influences at an AUC, which is kept half a patient off 0 and 1, where it has no bound."""
    edge = 0.5 / counts.min()
    return _kurtosis(min(max(value, edge), 1 - edge))


def training_variance(influence: Influence) -> tuple[float, float] | None:
    """What retraining adds to the variance of a mean over trainings, and its degrees of freedom; None of too few."""
    count = len(influence.trainings)
    if count < MIN_TRAININGS:
        return None
    return float(np.var(influence.trainings, ddof=1)) * (1 / count + influence.overlap), count - 1


def training_variance_of_difference(a: Influence, b: Influence, independent: bool) -> tuple[float, float] | None:
    """What retraining adds to the variance of a difference, and its degrees of freedom; None of too few trainings.

    Folds of the same patients are paired. Seeds of two models are not, which is safe where they correlate positively.

    Args:
        a: one AUC.
        b: the other.
        independent: whether the two are of different patients.
    """
    one, other = training_variance(a), training_variance(b)
    if one is None or other is None:
        return None
    if min(a.overlap, b.overlap) > 0 and not independent and len(a.trainings) == len(b.trainings):
        differences = np.subtract(a.trainings, b.trainings)
        return float(np.var(differences, ddof=1)) * (1 / len(differences) + a.overlap), len(differences) - 1
    if one[0] + other[0] <= 0:
        return 0.0, one[1] + other[1]
    return satterthwaite([one[0], other[0]], [one[1], other[1]])


def add_training_variance(
    variance: float, freedom: float, extra: float, extra_freedom: float, folds: bool
) -> tuple[float, float]:
    """Variance over patients and trainings, and its degrees of freedom.

    Args:
        variance: variance by patients.
        freedom: degrees of freedom of `variance`.
        extra: variance by trainings.
        extra_freedom: degrees of freedom of `extra`.
        folds: whether the trainings are folds, whose spread holds the variance by patients already.
    """
    if folds:
        return max(variance, extra), min(freedom, extra_freedom)
    return (variance, freedom) if extra <= 0 else satterthwaite([variance, extra], [freedom, extra_freedom])


def auc_off_the_edge(influence: Influence) -> float:
    """The AUC, kept at least half a pair of patients off 0 and 1."""
    edge = 0.5 / (influence.counts[0] * influence.counts[1])
    return min(max(influence.value, edge), 1 - edge)


def binormal_variance(value: float) -> float:
    """Variance of a placement where both classes' scores are normal with one standard deviation and this AUC.

    >>> round(binormal_variance(0.5), 6), round(binormal_variance(0.9), 4)
    (0.083333, 0.0224)
    """
    return float(value - 2 * owens_t(ndtri(value), 1 / np.sqrt(3)) - value**2)


def _kurtosis(value: float) -> float:
    """Excess kurtosis of a placement under the model of `binormal_variance`: 6 at an AUC of 0.9."""
    placement = ndtr(np.sqrt(2) * ndtri(value) - NODES)
    centred = placement - NODE_WEIGHTS @ placement
    return float(NODE_WEIGHTS @ centred**4 / (NODE_WEIGHTS @ centred**2) ** 2 - 3)
