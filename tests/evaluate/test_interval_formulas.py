"""Variances, degrees of freedom and ends of the intervals against formulas written out in full."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from scipy.stats import t as student

from cxrlens.evaluate.auc import auc_difference, auc_interval, difference_of
from cxrlens.evaluate.calibration import rate
from cxrlens.evaluate.influence import placements


def placement_moment(auc, power):
    """A central moment of a placement where both classes' scores are normal with one standard deviation."""
    shift = np.sqrt(2) * norm.ppf(auc)
    return quad(lambda x: (norm.cdf(shift - x) - auc) ** power * norm.pdf(x), -9, 9, epsabs=1e-14, limit=200)[0]


def spread(auc):
    return placement_moment(auc, 2)


def kurtosis(auc):
    return placement_moment(auc, 4) / spread(auc) ** 2 - 3


def clipped(auc, edge):
    return min(max(auc, edge), 1 - edge)


def patient_errors(labels, scores, who):
    """The AUC and, for each class, its patients' summed errors over the root of 1 - leverage."""
    order = np.sign(scores[labels == 1][:, None] - scores[labels == 0][None]) / 2 + 0.5
    auc, errors = order.mean(), []
    for label, placed in ((1, order.mean(axis=1)), (0, order.mean(axis=0))):
        of = who[labels == label]
        shares = [(of == patient).mean() for patient in np.unique(of)]
        sums = [(placed - auc)[of == patient].sum() / len(of) for patient in np.unique(of)]
        errors.append(np.array(sums) / np.sqrt(1 - np.array(shares)))
    return auc, errors


def class_freedom(count, tail):
    return 1 / (1 / (count - 1) + max(tail, 0) / (2 * count))


def single(labels, scores, who, tails=0.05, gained=1):
    """Variance by patients over the binormal placement's variance, and its degrees of freedom."""
    auc, errors = patient_errors(labels, scores, who)
    counts = [len(each) for each in errors]
    moved = clipped(auc, 0.5 / (counts[0] * counts[1]))
    tail = tails * kurtosis(clipped(moved, 0.5 / min(counts)))
    freedom = [class_freedom(count, tail) for count in counts]
    parts = [(f * (e @ e) / spread(moved) + 1 / len(e)) / (f + 1) for e, f in zip(errors, freedom, strict=True)]
    return sum(parts), sum(parts) ** 2 / sum(v**2 / (f + gained) for v, f in zip(parts, freedom, strict=True)), moved


def paired(labels, a, b, who):
    """Variance of a difference, its degrees of freedom, and the correlation of the two AUCs' errors."""
    (auc_a, errors_a), (auc_b, errors_b) = (patient_errors(labels, scores, who) for scores in (a, b))
    counts = [len(each) for each in errors_a]
    flat_a, flat_b = np.concatenate(errors_a), np.concatenate(errors_b)
    correlation = flat_a @ flat_b / np.sqrt((flat_a @ flat_a) * (flat_b @ flat_b))
    moved = [clipped(auc, 0.5 / (counts[0] * counts[1])) for auc in (auc_a, auc_b)]
    spreads = [spread(auc) for auc in moved]
    model = sum(spreads) - 2 * min(max(correlation, 0.5), 0.9) * np.sqrt(spreads[0] * spreads[1])
    tails = [s**2 * kurtosis(clipped(auc, 0.5 / min(counts))) for s, auc in zip(spreads, moved, strict=True)]
    tail = 0.8 * sum(tails) / sum(spreads) ** 2
    freedom = [class_freedom(count, tail) for count in counts]
    parts = [
        (f * ((x - y) @ (x - y)) + model / len(x)) / (f + 1)
        for x, y, f in zip(errors_a, errors_b, freedom, strict=True)
    ]
    return sum(parts), sum(parts) ** 2 / sum(v**2 / f for v, f in zip(parts, freedom, strict=True)), correlation


def sample(strength, seed, positive=14, negative=8):
    """Labels, scores and patients, where every third patient has a second image."""
    generator = np.random.default_rng(seed)
    count = positive + negative
    who = np.concatenate([np.arange(count), np.arange(0, count, 3)])
    labels = (who < positive).astype(int)
    return labels, strength * labels + generator.normal(size=len(who)), who


@pytest.mark.parametrize("strength", [0.4, 1.5, 3.0])
def test_an_auc_has_the_score_interval_of_the_formula(strength):
    labels, scores, who = sample(strength, seed=1)
    scale, freedom, _ = single(labels, scores, who)
    result = auc_interval(labels, scores, who)
    assert 0.5 < result.auc < 1
    assert result.p == pytest.approx(2 * student.sf((result.auc - 0.5) / np.sqrt(scale / 12), freedom), rel=1e-4)
    reach = student.ppf(0.975, freedom) ** 2 * scale
    for end in (result.low, result.high):
        assert (result.auc - end) ** 2 == pytest.approx(reach * spread(end), rel=1e-3)


@pytest.mark.parametrize(("strength", "noise", "least", "most"), [
    (1.0, 0.1, 0.9, 1.0), (1.0, 0.8, 0.5, 0.9), (1.0, 3.0, -1.0, 0.5), (2.5, 0.8, 0.5, 0.9),
])  # fmt: skip
def test_a_paired_difference_has_the_interval_of_the_formula(strength, noise, least, most):
    labels, a, who = sample(strength, seed=2)
    b = a + noise * np.random.default_rng(3).normal(size=len(a))
    variance, freedom, correlation = paired(labels, a, b, who)
    assert least < correlation < most  # the model's correlation is held between 0.5 and 0.9
    result = auc_difference(labels, a, b, who)
    reach = student.ppf(0.975, freedom) * np.sqrt(variance)
    assert (result.high - result.difference, result.difference - result.low) == pytest.approx((reach, reach), rel=1e-4)
    p = 2 * student.sf(abs(result.difference) / np.sqrt(variance), freedom)
    assert result.p == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize("strengths", [(1.0, 0.5), (3.0, 1.0)])
def test_a_difference_of_other_patients_adds_the_two_variances_and_has_satterthwaites_freedom(strengths):
    sets = [sample(strengths[0], seed=4), sample(strengths[1], seed=5, positive=9, negative=12)]
    parts = [single(*each, tails=0.4, gained=0) for each in sets]
    variances = [scale * spread(moved) for scale, _, moved in parts]
    freedom = sum(variances) ** 2 / sum(v**2 / f for v, (_, f, _) in zip(variances, parts, strict=True))
    a, b = (placements(labels == 1, scores, who) for labels, scores, who in sets)
    result = difference_of(a, b, independent=True)
    reach = student.ppf(0.975, freedom) * np.sqrt(sum(variances))
    assert (result.low, result.high) == pytest.approx((a.value - b.value - reach, a.value - b.value + reach), rel=1e-4)


def test_folds_of_other_patients_are_not_paired():
    sets = [sample(1.0, seed=4), sample(0.5, seed=5)]
    trainings = (0.95, 0.4, 0.9, 0.45, 0.7)  # every fold differs by 0.1: paired, there would be no spread
    folds = [trainings, tuple(value - 0.1 for value in trainings)]
    a, b = (
        replace(placements(labels == 1, scores, who), trainings=values, overlap=0.25)
        for (labels, scores, who), values in zip(sets, folds, strict=True)
    )
    result = difference_of(a, b, independent=True)
    of_one = np.var(trainings, ddof=1) * (1 / 5 + 1 / 4)  # Nadeau and Bengio 2003
    reach = student.ppf(0.975, 8) * np.sqrt(2 * of_one)
    middle = a.value - b.value
    assert (result.train_low, result.train_high) == pytest.approx((max(middle - reach, -1), min(middle + reach, 1)))


def test_the_interval_of_a_difference_ends_at_minus_1_and_1():
    labels = np.repeat([1, 0], 6)
    scores = labels + 0.01 * np.arange(12)
    best, worst = auc_difference(labels, scores, -scores, range(12)), auc_difference(labels, -scores, scores, range(12))
    assert (best.difference, best.high) == (1, 1) and 0 < best.low < 1
    assert (worst.difference, worst.low) == (-1, -1) and -1 < worst.high < 0


@pytest.mark.parametrize("repeats", [(1,) * 9, (3, 1, 1, 2, 1, 1, 1, 4, 1)])
def test_a_rate_has_the_score_interval_of_the_formula(repeats):
    who = np.repeat(np.arange(len(repeats)), repeats)
    right = np.isin(who, (0, 2, 3, 5, 6)).astype(float)
    share, freedom = right.mean(), len(repeats) - 1
    variance = 0.0
    for patient, images in enumerate(repeats):
        error = ((right - share)[who == patient] / len(who)).sum()
        variance += error**2 / (1 - images / len(who))  # CR2: a patient's own weight in the mean
    # The variance of as many single images weighs as one degree of freedom more.
    scale = (freedom * variance / (share * (1 - share)) + 1 / len(repeats)) / (freedom + 1)
    reach = student.ppf(0.975, freedom + 1) ** 2 * scale
    middle, half = (share + reach / 2) / (1 + reach), np.sqrt(reach * share * (1 - share) + reach**2 / 4) / (1 + reach)
    result = rate(right, who)
    assert (result.low, result.high) == pytest.approx((middle - half, middle + half), rel=1e-6)
