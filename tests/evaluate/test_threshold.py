import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from cxrlens.errors import UserError
from cxrlens.evaluate.calibration import choose_threshold, rate, wilson


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


def test_a_rate_by_patients_holds_the_share_and_is_never_without_doubt():
    sure = rate(np.ones(8), np.arange(8))
    assert (sure.value, sure.high) == (1, 1) and sure.low < 0.85 and sure.wilson_low < 0.85
    assert np.isnan(rate(np.ones(0), np.arange(0)).value)
    right = np.array([1.0] * 30 + [0.0] * 10)
    result = rate(right, np.arange(40))
    assert result.low < 0.75 < result.high
    assert (result.low, result.high) == pytest.approx((result.wilson_low, result.wilson_high), abs=0.02)


def test_images_of_one_patient_are_counted_together():
    right = np.array([1.0] * 30 + [0.0] * 10)
    alone, again = rate(right, np.arange(40)), rate(np.repeat(right, 4), np.repeat(np.arange(40), 4))
    assert (again.low, again.high) == pytest.approx((alone.low, alone.high))
    assert again.wilson_high - again.wilson_low < 0.6 * (again.high - again.low)
    few = rate(right, np.arange(40) // 10)
    assert np.isnan(few.low) and few.wilson_low < few.value
