import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from cxrlens.errors import UserError
from cxrlens.evaluate.threshold import choose_threshold, rate, wilson


def test_the_threshold_has_youdens_best_of_all():
    generator = np.random.default_rng(0)
    for _ in range(30):
        labels = np.arange(25) % 3 > 0
        scores = np.round(generator.normal(size=25) + labels, 1)
        called = scores >= choose_threshold(labels, scores)
        wrong, right, _ = roc_curve(labels, scores)
        assert called[labels].mean() - called[~labels].mean() == pytest.approx((right - wrong).max())


def test_the_threshold_lies_midway_and_where_equal_on_the_sensitive_side():
    assert choose_threshold([0, 1], [0, 10]) == 5
    assert (
        choose_threshold([1, 0, 1], [1, 2, 3]) == 2.5
    )  # one of two at 3, or both with the only negative: 1/2 against 0
    assert choose_threshold([1, 0, 1, 0], [1, 1, 2, 2]) == 1  # worth nothing anywhere: call everything


def test_an_unknown_rule_and_one_class_are_refused():
    with pytest.raises(UserError, match="did you mean 'youden'"):
        choose_threshold([0, 1], [0, 1], rule="yuoden")
    with pytest.raises(UserError, match="got 2 positive and 0 negative"):
        choose_threshold([1, 1], [0, 1])


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (50, 79)])
def test_wilson_agrees_with_scipy(k, n):
    oracle = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx((oracle.low, oracle.high))


def test_a_rate_without_misses_takes_wilsons_interval():
    weights = np.ones((100, 8), dtype=int)
    found = rate(np.ones(8), weights)
    assert (found.value, found.high) == (1, 1) and found.low == found.wilson_low < 0.7
    assert np.isnan(rate(np.ones(0), weights[:, :0]).value)


def test_a_rate_by_patients_is_the_weighted_mean():
    generator = np.random.default_rng(0)
    right = (np.arange(50) % 4 > 0).astype(float)
    weights = generator.multinomial(50, [1 / 50] * 50, size=4000)
    found = rate(right, weights)
    assert found.value == right.mean()
    assert (found.low, found.high) == pytest.approx((found.wilson_low, found.wilson_high), abs=0.04)
