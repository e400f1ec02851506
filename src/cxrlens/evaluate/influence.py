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

TRAININGS = 3  # networks of a row: from there an interval over patients and trainings is given
PRIOR = 1.0  # degrees of freedom that the binormal variance counts for, beside the data's own
TAILS_ONE, TAILS_TWO = 0.05, 0.8  # share of the binormal placements' kurtosis that lowers the degrees of freedom
NODES, MASS = np.polynomial.hermite_e.hermegauss(60)
MASS = MASS / MASS.sum()


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


def inflated(parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The influences, each divided by what its own patient takes away from it (CR2): [2, patients]."""
    return parts / np.sqrt(np.maximum(1 - shares, 1e-9))


def single_variance(one: Influence, tails: float = TAILS_ONE, gained: float = PRIOR) -> tuple[float, float]:
    """The variance by patients as a multiple of `binormal_spread`, and its degrees of freedom.

    Each class's sum of squares is drawn towards that of as many single images by the binormal model, which weighs as
    much as `PRIOR` degrees of freedom; where the data show no spread at all (equal scores), it stands alone.

    Args:
        one: the AUC.
        tails: share of the influences' excess kurtosis that counts.
        gained: degrees of freedom that the model adds to the data's: none on the plain scale of a difference, which
            is skewed near an AUC of 1.
    """
    errors = inflated(one.parts, one.shares)
    counts = np.array(one.counts)
    model = binormal_spread(off_the_edge(one))
    own = (errors**2).sum(axis=1)
    freedom = _class_freedom(counts, tails * _tail(off_the_edge(one), counts))
    if 0 < one.value < 1 and own.sum() > 1e-20:
        of_class = (freedom * own / model + PRIOR / counts) / (freedom + PRIOR)
    else:
        of_class = 1 / counts
    return _both_classes(of_class, freedom + gained, errors, one.shares > 0)


def paired_variance(a: Influence, b: Influence) -> tuple[float, float]:
    """The variance of a difference on the same patients, and its degrees of freedom; never 0.

    The model weighs as much as `PRIOR` degrees of freedom here, too, with the two AUCs' own correlation.
    """
    shares = (a.shares + b.shares) / 2
    errors = inflated(a.parts - b.parts, shares)
    sides = [inflated(each.parts, each.shares).sum(axis=0) for each in (a, b)]
    counts = (shares > 0).sum(axis=1)
    models = [binormal_spread(off_the_edge(each)) for each in (a, b)]
    size = float(np.sqrt((sides[0] @ sides[0]) * (sides[1] @ sides[1])))
    alike = float(np.clip(sides[0] @ sides[1] / size, 0.5, 0.9)) if size > 1e-20 else 0.5
    model = models[0] + models[1] - 2 * alike * float(np.sqrt(models[0] * models[1]))
    tail = (
        sum(m**2 * _tail(off_the_edge(each), counts) for m, each in zip(models, (a, b), strict=True)) / sum(models) ** 2
    )
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
        return total, max(satterthwaite(of_class, freedom)[1], 1.0)
    each = of_class / np.sqrt(counts * freedom)  # a patient's part, as large as the class's degrees of freedom make it
    spread = (counts - both) @ each**2 + both * max(float(each.sum()) + 2 * cross / both, 0.0) ** 2
    return total, max(total**2 / spread, 1.0) if spread > 0 else 1.0


def satterthwaite(variances: ArrayLike, freedom: ArrayLike) -> tuple[float, float]:
    """The sum of independent variances, and its degrees of freedom (Satterthwaite 1946)."""
    of, df = np.asarray(variances, dtype=float), np.asarray(freedom, dtype=float)
    return float(of.sum()), float(of.sum() ** 2 / (of**2 / df).sum())


def _class_freedom(counts: np.ndarray, tail: float) -> np.ndarray:
    """Degrees of freedom of a class's sum of squares: I - 1, and fewer where influences have long tails."""
    return 2 / (2 / (counts - 1) + max(tail, 0.0) / counts)


def _tail(value: float, counts: np.ndarray) -> float:
    """Excess kurtosis of the influences at an AUC; nearer to 0 or 1 than half a patient it would be all that counts."""
    edge = 0.5 / counts.min()
    return _kurtosis(min(max(value, edge), 1 - edge))


def training_variance(one: Influence) -> tuple[float, float] | None:
    """What training again adds to the variance of a mean over trainings, and its degrees of freedom."""
    count = len(one.trainings)
    if count < TRAININGS:
        return None
    return float(np.var(one.trainings, ddof=1)) * (1 / count + one.overlap), count - 1


def training_gap(a: Influence, b: Influence, apart: bool) -> tuple[float, float] | None:
    """The same of a difference: folds are paired; seeds of two models are not, which is safe where they go together."""
    one, other = training_variance(a), training_variance(b)
    if one is None or other is None:
        return None
    if min(a.overlap, b.overlap) > 0 and not apart and len(a.trainings) == len(b.trainings):
        gaps = np.subtract(a.trainings, b.trainings)
        return float(np.var(gaps, ddof=1)) * (1 / len(gaps) + a.overlap), len(gaps) - 1
    if one[0] + other[0] <= 0:
        return 0.0, one[1] + other[1]
    return satterthwaite([one[0], other[0]], [one[1], other[1]])


def with_trainings(
    variance: float, freedom: float, extra: float, extra_freedom: float, folds: bool
) -> tuple[float, float]:
    """Variance over patients and trainings: of folds, the spread holds the patients' part already."""
    if folds:
        return (extra, extra_freedom) if extra > variance else (variance, min(freedom, extra_freedom))
    return (variance, freedom) if extra <= 0 else satterthwaite([variance, extra], [freedom, extra_freedom])


def off_the_edge(one: Influence) -> float:
    """The AUC, moved off 0 and 1 by half a pair of patients."""
    edge = 0.5 / (one.counts[0] * one.counts[1])
    return min(max(one.value, edge), 1 - edge)


def binormal_spread(value: float) -> float:
    """Variance of a placement where both classes' scores are normal with one standard deviation and this AUC.

    >>> round(binormal_spread(0.5), 6), round(binormal_spread(0.9), 4)
    (0.083333, 0.0224)
    """
    return float(value - 2 * owens_t(ndtri(value), 1 / np.sqrt(3)) - value**2)


def _kurtosis(value: float) -> float:
    """Excess kurtosis of a placement under the same model: 6 at an AUC of 0.9."""
    placed = ndtr(np.sqrt(2) * ndtri(value) - NODES)
    off = placed - MASS @ placed
    return float(MASS @ off**4 / (MASS @ off**2) ** 2 - 3)
