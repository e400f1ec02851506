import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from cxrlens.errors import UserError
from cxrlens.evaluate import influence as module
from cxrlens.evaluate.auc import (
    auc,
    auc_difference,
    auc_interval,
    difference_of,
    interval_of,
    ordered_bound,
    score_ends,
)
from cxrlens.evaluate.influence import mean_influence, placements
from cxrlens.report.published import hanley_mcneil

# By hand (see the counts of ordered pairs): 12 pairs, A orders 10.5 of them, B 11.
Y = [1, 1, 1, 0, 0, 0, 0]
A = [0.9, 0.8, 0.4, 0.7, 0.4, 0.3, 0.1]
B = [0.6, 0.7, 0.8, 0.5, 0.65, 0.2, 0.1]

evaluated = st.lists(st.tuples(st.booleans(), st.integers(-6, 6)), min_size=12, max_size=40).filter(
    lambda rows: 5 <= sum(label for label, _ in rows) <= len(rows) - 5
)


def variance(parts: np.ndarray, shares: np.ndarray) -> float:
    """The cluster sum before anything is drawn towards a model."""
    errors = module.inflated(parts, shares).sum(axis=0)
    return float(errors @ errors)


def influence(labels, scores, patients):
    return placements(np.array(labels) == 1, np.array(scores, dtype=float), np.array(patients))


def drawn(positive=40, negative=25, seed=0, apart=1.0):
    generator = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [positive, negative])
    return labels, generator.normal(size=positive + negative) + apart * labels


def test_with_one_image_a_patient_the_variances_are_delongs_worked_out_by_hand():
    a, b = (influence(Y, scores, range(7)) for scores in (A, B))
    assert (a.value, b.value) == pytest.approx((7 / 8, 11 / 12))
    assert variance(a.parts, a.shares) == pytest.approx(19 / 864)
    assert variance(b.parts, b.shares) == pytest.approx(1 / 72)
    of_difference = 19 / 864 + 1 / 72 + 2 * 7 / 1728
    assert variance(a.parts - b.parts, a.shares) == pytest.approx(of_difference)
    z = (a.value - b.value) / np.sqrt(variance(a.parts - b.parts, a.shares))
    assert (z, 2 * norm.sf(abs(z))) == pytest.approx((-0.19867985, 0.84251318), abs=1e-8)


def test_patients_are_summed_before_they_are_squared():
    # Two images of each patient, worked out on paper: positive patients' errors (1/8, -1/8, 0)·..., see the sums.
    labels, scores, patients = [1, 1, 1, 1, 0, 0, 0, 0], [4, 3, 2, 1, 3.5, 1.5, 0.5, 0], [0, 0, 1, 1, 2, 2, 3, 3]
    result = influence(labels, scores, patients)
    # Each positive beats 4, 3, 3, 2 of 4 negatives: placements 1, .75, .75, .5, AUC .75. By patient (.25 + 0) / 4 and
    # (0 - .25) / 4; each negative is beaten by 1, 3, 4, 4 of 4: (-.5 + 0) / 4 and (.25 + .25) / 4.
    assert result.value == 0.75
    assert result.parts[0].tolist() == pytest.approx([1 / 16, -1 / 16, 0, 0])
    assert result.parts[1].tolist() == pytest.approx([0, 0, -1 / 8, 1 / 8])
    assert variance(result.parts, result.shares) == pytest.approx(2 * (2 / 256 + 2 / 64))  # I / (I - 1) = 2


def test_images_that_are_there_again_under_their_own_patient_change_no_interval():
    labels, scores = drawn()
    other = scores + np.random.default_rng(1).normal(size=len(scores))
    again = np.repeat(np.arange(len(labels)), 4)
    one, many = auc_interval(labels, scores, range(65)), auc_interval(labels[again], scores[again], again)
    assert (many.low, many.high, many.p) == pytest.approx((one.low, one.high, one.p))
    gap, gaps = (auc_difference(labels[i], scores[i], other[i], i) for i in (np.arange(65), again))
    assert (gaps.low, gaps.high, gaps.p) == pytest.approx((gap.low, gap.high, gap.p))
    naive = auc_interval(labels[again], scores[again], range(260))
    assert many.high - many.low > 1.7 * (naive.high - naive.low)


def test_a_patient_with_images_of_both_classes_is_counted_once_with_the_sum_of_both_errors():
    labels, scores = drawn(20, 20, apart=0.7)
    effect = np.tile(np.linspace(-1, 1, 20), 2)  # what the two images of a patient have in common cancels
    own, mixed = np.arange(40), np.tile(np.arange(20), 2)
    apart, together = (auc_interval(labels, scores + 2 * effect, who) for who in (own, mixed))
    assert together.high - together.low < 0.8 * (apart.high - apart.low)
    assert (together.patients, together.positive_patients, together.negative_patients) == (20, 20, 20)


def test_the_degrees_of_freedom_are_satterthwaites_of_the_classes():
    assert module.satterthwaite([2.0, 1.0], [4.0, 10.0]) == (3.0, pytest.approx(9 / (4 / 4 + 1 / 10)))
    labels, scores = drawn(200, 12, seed=3)
    other = scores + np.random.default_rng(4).normal(size=len(scores))
    gap = auc_difference(labels, scores, other, range(212))
    error = (gap.high - gap.difference) / student.ppf(0.975, 11)
    # The rarer class decides nearly alone: close to 11 degrees of freedom, far from 210 or the normal's.
    p = 2 * student.sf(abs(gap.difference) / error, 11)
    assert gap.p == pytest.approx(p, rel=0.15)
    variance = module.difference_variance(*(influence(labels, s, range(212)) for s in (scores, other)))
    assert 8 < variance.freedom < 14 and variance.at(0) > 0


def test_patients_with_images_of_both_classes_give_no_twofold_degrees_of_freedom():
    labels, scores = drawn(20, 20)
    other = scores + np.random.default_rng(1).normal(size=40)
    apart, mixed = (
        module.difference_variance(*(influence(labels, s, who) for s in (scores, other))).freedom
        for who in (np.arange(40), np.tile(np.arange(20), 2))
    )
    assert apart > 25 and mixed < 20


@pytest.mark.parametrize(
    ("positive", "negative", "icc", "truth"), [(40, 12, 0.5, 0.75), (15, 10, 0.5, 0.8), (30, 30, 0.9, 0.9)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(positive, negative, icc, truth):
    generator = np.random.default_rng(6)
    held, selected = 0, 0
    for _ in range(250):
        of_patient = 1 + generator.poisson(0.8, positive + negative)
        who = np.repeat(np.arange(positive + negative), of_patient)
        labels = who < positive
        noise = [
            np.sqrt(icc) * generator.normal(size=positive + negative)[who]
            + np.sqrt(1 - icc) * generator.normal(size=len(who))
            for _ in range(2)
        ]
        a, b = (np.sqrt(2) * norm.ppf(truth) * labels + each for each in noise)
        result, gap = auc_interval(labels, a, who), auc_difference(labels, a, b, who)
        held += result.low <= truth <= result.high
        selected += gap.p > 0.05
    assert held / 250 > 0.915 and selected / 250 > 0.915  # 0.95 less two and a half Monte Carlo errors


@pytest.mark.parametrize(("value", "pairs"), [(1.0, (20, 12)), (0.0, (20, 12)), (1.0, (6, 5))])
def test_an_auc_of_1_or_0_has_a_bound_that_few_patients_set(value, pairs):
    labels = np.repeat([1, 0], pairs)
    result = auc_interval(labels, labels if value else 1 - labels, range(len(labels)))
    edge = result.low if value else 1 - result.high
    assert result.auc == value and (result.high == 1 if value else result.low == 0)
    # An AUC at the edge orders every pair by chance about once in 40, at most: between too sure and of no use.
    assert 1 - 5 / min(pairs) < edge < 1 - 1 / min(pairs)
    if min(pairs) > 10:
        more = auc_interval(np.repeat(labels, 10), np.repeat(labels if value else 1 - labels, 10), range(320))
        assert (more.low if value else 1 - more.high) > edge


def test_equal_scores_everywhere_are_not_0_5_without_doubt_nor_are_two_models_equal_for_sure():
    labels = np.repeat([1, 0], 10)
    result = auc_interval(labels, np.ones(20), range(20))
    assert result.auc == 0.5 and result.low < 0.4 and result.high > 0.6
    same = auc_difference(labels, labels, labels, range(20))
    assert (same.difference, same.p) == (0, 1) and same.low < -0.01 and same.high > 0.01


@given(evaluated, st.integers(0, 1000), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_p_is_small_exactly_where_the_interval_leaves_the_null_outside(rows, seed, level):
    labels, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    generator = np.random.default_rng(seed)
    who = np.where(generator.random(len(labels)) < 0.3, np.arange(len(labels)) // 2, np.arange(len(labels)))
    result = auc_interval(labels, scores, who, level=level)
    gap = auc_difference(labels, scores, scores + generator.integers(-2, 3, len(labels)), who, level=level)
    if result.reason:
        return
    assert 0 <= result.low < result.high <= 1 and result.low <= result.auc <= result.high
    assert (result.low <= 0.5 <= result.high) == (result.p > 1 - level) or abs(result.p - 1 + level) < 1e-6
    assert (gap.low <= 0 <= gap.high) == (gap.p > 1 - level) or abs(gap.p - 1 + level) < 1e-6
    assert gap.low < gap.difference < gap.high


@given(evaluated, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_scale_and_the_name_of_the_classes_change_nothing(rows, random):
    labels, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    who = np.arange(len(labels))
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    plain = auc_interval(labels, scores, who)
    order = random.sample(range(len(labels)), len(labels))
    for other in (
        auc_interval(labels[order], scores[order], [f"p{i}" for i in who[order]]),
        auc_interval(labels, np.exp(scores / 3) + 7, who),
        auc_interval(1 - labels, -scores, who),
    ):
        assert (other.auc, other.low, other.high, other.p) == pytest.approx((plain.auc, plain.low, plain.high, plain.p))
    turned = auc_interval(labels, -scores, who)
    assert (1 - turned.auc, 1 - turned.high, 1 - turned.low) == pytest.approx((plain.auc, plain.low, plain.high))
    gap, back = (auc_difference(labels, *pair, who) for pair in ((scores, scores % 3), (scores % 3, scores)))
    assert (-back.difference, -back.high, -back.low, back.p) == pytest.approx(
        (gap.difference, gap.low, gap.high, gap.p)
    )


def test_parts_are_compared_within_themselves_only_and_one_part_is_the_plain_auc():
    labels, scores = drawn()
    part = np.arange(65) % 3
    whole, split = (placements(labels == 1, scores, np.arange(65), strata=p) for p in (np.zeros(65), part))
    assert whole.value == pytest.approx(auc(labels, scores))
    pairs = [(labels[part == p].sum() * (1 - labels[part == p]).sum(), auc(labels[part == p], scores[part == p])) for p
             in range(3)]  # fmt: skip
    assert split.value == pytest.approx(np.average([a for _, a in pairs], weights=[n for n, _ in pairs]))
    shifted = placements(labels == 1, scores + 100 * part, np.arange(65), strata=part)
    assert shifted.value == split.value and shifted.parts == pytest.approx(split.parts)
    assert split.parts.sum(axis=1) == pytest.approx([0, 0]) and split.shares.sum(axis=1) == pytest.approx([1, 1])


def test_differences_of_other_patients_add_their_variances():
    sides = [influence(*drawn(seed=seed), range(65)) for seed in (0, 1)]
    gap = difference_of(*sides, independent=True)
    widths = [(one.high - one.low) / 2 for one in map(interval_of, sides)]
    assert (gap.high - gap.low) / 2 == pytest.approx(np.hypot(*widths), rel=0.06)
    assert (gap.high - gap.low) > 1.05 * max(widths) * 2


def test_a_second_interval_takes_the_trainings_in_from_3_of_them():
    labels, scores = drawn()
    generator = np.random.default_rng(2)
    scores = scores + generator.normal(size=(4, 65))
    few, enough = auc_interval(labels, scores[:2], range(65)), auc_interval(labels, scores, range(65))
    assert math.isnan(few.train_low) and few.auc == pytest.approx(np.mean([auc(labels, s) for s in scores[:2]]))
    assert enough.train_low < enough.low < enough.auc < enough.high < enough.train_high
    better = scores + generator.normal(0, 2, size=(4, 1)) * labels + labels
    gap = auc_difference(labels, better, scores, range(65))
    assert gap.train_high - gap.train_low > gap.high - gap.low and gap.train_p > gap.p
    assert (gap.train_low <= 0 <= gap.train_high) == (gap.train_p > 0.05)
    alike = auc_interval(labels, np.stack([scores[0]] * 3), range(65))
    assert (alike.train_low, alike.train_high) == (alike.low, alike.high)


def test_folds_are_corrected_for_the_training_images_that_they_share():
    labels, scores = drawn()
    part = np.arange(65) % 5
    one = placements(labels == 1, scores, np.arange(65), strata=part)
    values = (0.95, 0.6, 0.9, 0.65, 0.7)
    folds = replace(one, trainings=values, overlap=0.25)
    assert module.training_variance(folds) == (pytest.approx(np.var(values, ddof=1) * (1 / 5 + 1 / 4)), 4)
    result = interval_of(folds)
    assert result.train_low < result.low and result.train_high > result.high


def test_fewer_than_5_patients_of_a_class_have_no_interval_and_up_to_9_a_rough_one():
    labels, scores = drawn(20, 4)
    none = auc_interval(labels, scores, range(24))
    assert none.auc == auc(labels, scores) and math.isnan(none.low) and math.isnan(none.p)
    assert none.reason.endswith("got 20 with positive and 4 with negative images") and not none.rough
    gap = auc_difference(labels, scores, -scores, range(24))
    assert math.isnan(gap.low) and math.isnan(gap.p) and gap.reason == none.reason
    same_patients = auc_interval(*drawn(20, 20), np.arange(40) // 5)  # 4 patients a class, however many images
    assert math.isnan(same_patients.low)
    assert auc_interval(*drawn(20, 9), range(29)).rough and not auc_interval(*drawn(20, 10), range(30)).rough


def test_an_unknown_label_is_left_out():
    labels, scores = drawn()
    more = auc_interval([*labels, math.nan], [*scores, 5.0], [*range(65), 0])
    assert more == auc_interval(labels, scores, range(65))


def test_a_mean_of_aucs_has_the_mean_of_the_influences():
    labels, scores = drawn()
    each = [influence(labels, s, range(65)) for s in (scores, -scores)]
    mean = mean_influence(each)
    assert mean.value == pytest.approx(0.5) and np.abs(mean.parts).max() < 1e-12
    assert mean.trainings == (each[0].value, each[1].value)


@pytest.mark.parametrize(("value", "low", "high"), [(0.672, 0.53, 0.79), (0.725, 0.59, 0.83), (0.816, 0.70, 0.89)])
def test_hanley_mcneil_gives_the_intervals_of_the_published_aucs(value, low, high):
    result = hanley_mcneil(value, 79, 17)
    assert (round(result.low, 2), round(result.high, 2)) == (low, high)


def test_what_cannot_be_judged_is_refused_with_the_counts():
    with pytest.raises(UserError, match="got 2 positive and 0 negative"):
        auc([1, 1], [1, 2])
    for bad in (math.nan, math.inf):
        with pytest.raises(UserError, match="1 of 7 are not"):
            auc_interval(Y, [*A[:-1], bad], range(7))
    with pytest.raises(UserError, match="labels are 1, 0 or NaN"):
        auc([1, 0, 2], [1, 2, 3])
    with pytest.raises(UserError, match="one score is needed for each label"):
        auc([1, 0], [1, 2, 3])
    with pytest.raises(UserError, match="a patient is needed for each label"):
        auc_interval(Y, A, range(6))
    with pytest.raises(UserError, match="level lies between 0 and 1"):
        auc_difference(Y, A, B, range(7), level=95)


@pytest.mark.parametrize("absent", [None, math.nan, ""])
def test_images_without_a_patient_are_refused_and_not_taken_for_one_patient(absent):
    labels, scores = drawn()
    patients = [absent if k < 9 else f"p{k}" for k in range(65)]
    with pytest.raises(UserError, match="9 of 65 labelled images have no patient"):
        auc_interval(labels, scores, np.array(patients, dtype=object))
    assert auc_interval([math.nan] * 9 + list(labels[9:]), scores, np.array(patients, dtype=object)).patients == 56


@pytest.mark.parametrize(
    ("labels", "scores", "match"),
    [
        (["yes", *Y[1:]], A, "labels must be an array of numbers; got list"),
        (Y, ["high", *A[1:]], "scores must be an array of numbers; got list"),
        (Y, [A, A[1:]], "scores must be an array of numbers; got list"),
        (Y, np.zeros((0, 7)), r"got labels \(7,\) and scores \(0, 7\)"),
        (Y, np.zeros((1, 3, 7)), r"got labels \(7,\) and scores \(1, 3, 7\)"),
    ],
)
def test_arrays_of_no_use_are_refused_in_words(labels, scores, match):
    with pytest.raises(UserError, match=match):
        auc_interval(labels, scores, range(7))


def test_a_level_must_be_a_number_and_scores_may_have_any_precision():
    with pytest.raises(UserError, match="level lies between 0 and 1"):
        auc_interval(Y, A, range(7), level="0.95")
    assert auc_interval(Y, torch.tensor(A).bfloat16(), range(7)).auc == 10.5 / 12


def test_intervals_of_a_small_set_are_these_numbers():
    labels, scores = drawn(20, 8)
    one, gap = auc_interval(labels, scores, range(28)), auc_difference(labels, scores, scores % 1, range(28))
    assert (one.low, one.high, one.p) == pytest.approx((0.47312757, 0.89661017, 0.07382939), rel=1e-6)
    assert (gap.low, gap.high, gap.p) == pytest.approx((-0.14561405, 0.46138451, 0.27018151), rel=1e-6)


@pytest.mark.parametrize(("who", "pairs"), [(range(24), 12), (np.arange(24) // 2, 6)])
def test_the_bound_at_an_auc_of_1_has_as_many_pairs_as_half_the_patients_and_its_p_goes_with_it(who, pairs):
    labels = np.tile([1, 0], 12)
    one = auc_interval(labels, labels, who)
    assert one.low == ordered_bound(1.0, pairs)[0]
    assert auc_interval(labels, labels, who, level=1 - one.p).low == pytest.approx(0.5)


def test_over_folds_the_spread_of_the_folds_stands_alone_and_folds_of_two_models_are_paired():
    labels, scores = drawn()
    part, values = np.arange(65) % 5, (0.95, 0.6, 0.9, 0.65, 0.7)
    one, other = (
        replace(placements(labels == 1, s, np.arange(65), strata=part), trainings=trainings, overlap=0.25)
        for s, trainings in ((scores, values), (scores % 1, tuple(value - 0.1 for value in values)))
    )
    result, spread = interval_of(one), np.var(values, ddof=1) * 0.45 / module.binormal_variance(one.value)
    assert (result.train_low, result.train_high) == pytest.approx(score_ends(one.value, spread, 4, 0.95))
    gap = difference_of(one, other)  # every fold differs by 0.1: no spread beyond the patients'
    variance = module.difference_variance(one, other).at
    reach = [student.ppf(0.975, 4) * np.sqrt(variance(end)) for end in (gap.train_low, gap.train_high)]
    assert [gap.difference - gap.train_low, gap.train_high - gap.difference] == pytest.approx(reach, rel=1e-4)
    assert gap.train_low < gap.low and gap.high < gap.train_high
