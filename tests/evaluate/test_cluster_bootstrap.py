import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import auc
from cxrlens.evaluate.cluster_bootstrap import (
    patient_draws,
    percentile_interval,
    two_sided_p,
    weighted_auc,
)
from cxrlens.evaluate.delong import delong


def made_up(n, generator, step=0.5):
    labels = np.arange(n) % 3 > 0
    return labels, np.round((generator.normal(size=n) + labels) / step) * step  # rounded: with ties


def test_weighted_auc_agrees_with_scikit_learn():
    generator = np.random.default_rng(1)
    labels, scores = made_up(40, generator)
    weights = generator.integers(0, 4, size=(30, 40))
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    assert weighted_auc(labels, scores, weights) == pytest.approx(expected, abs=1e-12)


def test_weights_of_one_are_the_plain_auc_and_a_weight_of_two_is_a_row_twice():
    generator = np.random.default_rng(2)
    labels, scores = made_up(30, generator)
    assert weighted_auc(labels, scores, np.ones((1, 30))) == pytest.approx([auc(labels, scores)])
    weights = generator.integers(1, 3, size=30)
    twice = np.repeat(np.arange(30), weights)
    assert weighted_auc(labels, scores, weights) == pytest.approx([auc(labels[twice], scores[twice])])


def test_many_images_in_blocks_of_draws_give_what_one_draw_gives():
    generator = np.random.default_rng(3)
    labels, scores = made_up(3000, generator)
    weights = generator.integers(0, 3, size=(1000, 3000))
    together = weighted_auc(labels, scores, weights)
    assert together[[0, 700, 999]] == pytest.approx(
        [weighted_auc(labels, scores, weights[i])[0] for i in (0, 700, 999)]
    )


def test_a_draw_of_one_class_has_no_auc():
    assert np.isnan(weighted_auc([1, 0], [1.0, 0.0], [[1, 0]])).all()


def test_patients_are_drawn_whole_and_as_many_as_there_are():
    patients = np.array(["a", "a", "b", "c", "c", "c", "d"])
    labels = np.array([1, 0, 1, 0, 0, 0, 0])
    drawn = patient_draws(patients, labels, 500, np.random.default_rng(0))
    w = drawn.weights
    assert w.shape == (500, 7) and drawn.patients == 4
    assert (w[:, 0] == w[:, 1]).all() and (w[:, 3] == w[:, 5]).all()
    assert (w[:, 0] + w[:, 2] == 2).all() and (w[:, 3] + w[:, 6] == 2).all()  # with, and without, a positive
    assert w[:, 0].mean() == pytest.approx(1, abs=0.1)
    assert (patient_draws(patients, labels, 500, np.random.default_rng(0)).weights == w).all()


def test_a_draw_of_one_class_is_drawn_again_and_counted():
    drawn = patient_draws(["a", "a", "b", "c"], [1, 0, 1, 1], 200, np.random.default_rng(0))
    assert drawn.redrawn > 0
    assert drawn.weights[:, 1].min() >= 1
    with pytest.raises(UserError, match="1 image of each class; got 2 positive and 0 negative"):
        patient_draws(["a", "b"], [1, 1], 10, np.random.default_rng(0))


def test_the_interval_leaves_0_outside_exactly_where_p_is_small():
    generator = np.random.default_rng(4)
    for _ in range(200):
        values = generator.normal(generator.uniform(-3, 3), size=generator.integers(60, 150))
        low, high = percentile_interval(values, 0.9)
        assert (not low <= 0 <= high) == (two_sided_p(values) <= 0.1 + 1e-12)


def test_the_percentile_interval_counts_from_both_ends():
    values = np.arange(1, 100.0)
    assert percentile_interval(values, 0.9) == (5, 95)
    assert percentile_interval(np.append(values, np.nan), 0.9) == (5, 95)
    assert np.isnan(percentile_interval(values[:10], 0.95)).all()


def test_repeated_images_of_a_patient_widen_the_interval_by_patients_but_narrow_delongs():
    generator = np.random.default_rng(5)
    labels, scores = made_up(60, generator, step=0.01)
    again = np.repeat(np.arange(60), 4)
    by_patient = patient_draws(again, labels[again], 1000, np.random.default_rng(0))
    low, high = percentile_interval(weighted_auc(labels[again], scores[again], by_patient.weights))
    naive, honest = delong(labels[again], scores[again]), delong(labels, scores)
    assert high - low > 1.6 * (naive.high - naive.low)  # four copies of everything: about twice
    assert high - low == pytest.approx(honest.high - honest.low, rel=0.2)


def test_the_interval_by_patients_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(6)
    held, naive = 0, 0
    for _ in range(120):
        patients = np.repeat(np.arange(40), 3)
        labels = patients % 2 == 0
        # Unit noise, nine tenths of it shared by a patient's images: the true AUC is Phi(1 / sqrt 2) = 0.7602.
        scores = labels + np.sqrt(0.9) * generator.normal(size=40)[patients] + np.sqrt(0.1) * generator.normal(size=120)
        weights = patient_draws(patients, labels, 300, generator).weights
        low, high = percentile_interval(weighted_auc(labels, scores, weights))
        estimate = delong(labels, scores)
        held += low <= 0.7602 <= high
        naive += estimate.low <= 0.7602 <= estimate.high
    assert held / 120 > 0.88
    assert naive / 120 < held / 120 - 0.05
