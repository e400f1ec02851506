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
    """Variance of a difference at a tested value, its degrees of freedom, and the correlation of the AUCs' errors."""
    (auc_a, errors_a), (auc_b, errors_b) = (patient_errors(labels, scores, who) for scores in (a, b))
    counts = [len(each) for each in errors_a]
    flat_a, flat_b = np.concatenate(errors_a), np.concatenate(errors_b)
    correlation = flat_a @ flat_b / np.sqrt((flat_a @ flat_a) * (flat_b @ flat_b))
    shrunk = ((min(counts) - 1) * correlation + 2 * 0.5) / (min(counts) - 1 + 2)
    moved = [clipped(auc, 0.5 / (counts[0] * counts[1])) for auc in (auc_a, auc_b)]

    def model(values):
        one, other = (spread(value) if 0 < value < 1 else 0.0 for value in values)
        return one + other - 2 * shrunk * np.sqrt(one * other)

    spreads = [spread(auc) for auc in moved]
    tails = [s**2 * kurtosis(clipped(auc, 0.5 / min(counts))) for s, auc in zip(spreads, moved, strict=True)]
    tail = 0.4 * sum(tails) / sum(spreads) ** 2
    freedom = [class_freedom(count, tail) for count in counts]
    parts = [
        (f * ((x - y) @ (x - y)) / model(moved) + 2 / len(x)) / (f + 2)
        for x, y, f in zip(errors_a, errors_b, freedom, strict=True)
    ]
    total = sum(parts) ** 2 / sum(v**2 / f for v, f in zip(parts, freedom, strict=True))
    return (lambda tested: sum(parts) * model(together(moved, tested))), total, correlation


def together(values, tested):
    """Two AUCs, moved by the same amount until they differ by `tested`, and not beyond 0 and 1."""
    first = np.mean(values) + tested / 2
    first = np.clip(first, max(tested, 0), 1 + min(tested, 0))
    return first, first - tested


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


def check_score_test(result, variance, freedom):
    """Each end lies t standard errors away, where the standard error is that of the end; p is that of 0."""
    for end in (result.low, result.high):
        assert -1 < end < 1
        reach = student.ppf(0.975, freedom) * np.sqrt(variance(end))
        assert abs(result.difference - end) == pytest.approx(reach, rel=1e-3)
    p = 2 * student.sf(abs(result.difference) / np.sqrt(variance(0)), freedom)
    assert result.p == pytest.approx(p, rel=1e-4)


@pytest.mark.parametrize(("strength", "noise", "least", "most"), [
    (1.0, 0.1, 0.9, 1.0), (1.0, 0.8, 0.5, 0.9), (1.0, 3.0, -1.0, 0.5), (2.5, 0.8, 0.5, 0.9), (2.8, 4.0, -1.0, 0.9),
])  # fmt: skip
def test_a_paired_difference_has_the_score_interval_of_the_formula(strength, noise, least, most):
    labels, a, who = sample(strength, seed=2)
    b = a + noise * np.random.default_rng(3).normal(size=len(a))
    variance, freedom, correlation = paired(labels, a, b, who)
    assert least < correlation < most
    check_score_test(auc_difference(labels, a, b, who), variance, freedom)


@pytest.mark.parametrize("strengths", [(1.0, 0.5), (3.0, 1.0)])
def test_a_difference_of_other_patients_adds_the_two_variances_and_has_satterthwaites_freedom(strengths):
    sets = [sample(strengths[0], seed=4), sample(strengths[1], seed=5, positive=9, negative=12)]
    parts = [single(*each, tails=0.4, gained=0) for each in sets]
    variances = [scale * spread(moved) for scale, _, moved in parts]
    freedom = sum(variances) ** 2 / sum(v**2 / f for v, (_, f, _) in zip(variances, parts, strict=True))
    a, b = (placements(labels == 1, scores, who) for labels, scores, who in sets)

    def variance(tested):
        moved = together([moved for *_, moved in parts], tested)
        return sum(scale * spread(value) for (scale, *_), value in zip(parts, moved, strict=True) if 0 < value < 1)

    check_score_test(difference_of(a, b, independent=True), variance, freedom)


def drawn_pair(generator):
    """Labels, two models' scores and patients; now and then a model is perfect, or both are, or both are one."""
    counts = generator.integers(5, 25, 2)
    who = np.repeat(np.arange(counts.sum()), 1 + generator.poisson(0.5, counts.sum()))
    labels = (who < counts[0]).astype(int)
    scores = generator.normal(size=(2, len(who))) + generator.choice([0, 0.5, 1.5, 4, 40], (2, 1)) * labels
    if generator.random() < 0.2:
        scores[1] = scores[0]
    return labels, *scores, who


@pytest.mark.parametrize("independent", [False, True])
def test_p_is_at_most_5_percent_exactly_where_the_interval_excludes_0_and_models_swap_signs(independent):
    generator = np.random.default_rng(8)
    excluded = 0
    for _ in range(150):
        labels, a, b, who = drawn_pair(generator)
        one, other = (placements(labels == 1, scores, who) for scores in (a, b))
        result, swapped = (
            difference_of(one, other, independent=independent),
            difference_of(other, one, independent=independent),
        )
        assert -1 <= result.low <= result.difference <= result.high <= 1 and result.low < result.high
        assert (result.p <= 0.05) == (not result.low <= 0 <= result.high)
        assert (swapped.low, swapped.high, swapped.p) == pytest.approx((-result.high, -result.low, result.p), abs=1e-6)
        excluded += result.p <= 0.05
    assert 20 < excluded < 130


def test_two_perfect_models_may_differ_by_as_much_as_their_own_intervals_allow():
    labels = np.repeat([1, 0], 5)
    a = labels + 0.01 * np.arange(10)
    gap, one = auc_difference(labels, a, a + labels, range(10)), auc_interval(labels, a, range(10))
    assert (gap.difference, gap.p) == (0, pytest.approx(1))
    assert 0.6 * (1 - one.low) < gap.high < 1.4 * (1 - one.low) and gap.low == pytest.approx(-gap.high)


@pytest.mark.parametrize(("counts", "aucs"), [((10, 10), (0.99, 0.93)), ((40, 12), (0.99, 0.93))])
def test_a_paired_interval_near_an_auc_of_1_holds_the_true_difference(counts, aucs):
    generator, held = np.random.default_rng(10), 0
    labels = np.repeat([1, 0], counts)
    mix = np.linalg.cholesky([[1, 0.5], [0.5, 1]])
    for _ in range(200):
        noise = mix @ generator.normal(size=(2, sum(counts)))
        scores = noise + np.sqrt(2) * norm.ppf(aucs)[:, None] * labels
        result = auc_difference(labels, *scores, range(sum(counts)))
        held += result.low <= aucs[0] - aucs[1] <= result.high
    assert held >= 187  # a Student interval holds it 170 times


def test_a_small_set_and_a_large_one_of_other_patients_differ_by_chance_as_seldom_as_they_should():
    generator, named = np.random.default_rng(11), 0
    for _ in range(200):
        sets = []
        for count in (8, 200):
            labels = np.repeat([True, False], count)
            scores = generator.normal(size=2 * count) + np.sqrt(2) * norm.ppf(0.95) * labels
            sets.append(placements(labels, scores, np.arange(2 * count)))
        named += difference_of(*sets, independent=True).p < 0.05
    assert named <= 14  # a Student interval names a difference 40 times


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
