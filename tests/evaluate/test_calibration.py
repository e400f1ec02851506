import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from cxrlens.evaluate.calibration import calibration, recalibration, reliability


def test_two_groups_give_the_closed_form():
    # At logit -1, 1 of 4 is positive; at logit +1, 2 of 3: a - b = logit(1/4), a + b = logit(2/3).
    logits = [-1.0] * 4 + [1.0] * 3
    labels = [1, 0, 0, 0, 1, 1, 0]
    a, b = recalibration(labels, logits)
    low, high = math.log(1 / 3), math.log(2)
    assert (a, b) == pytest.approx(((high + low) / 2, (high - low) / 2), abs=1e-6)


def test_recalibration_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    logits = generator.normal(3, 40, size=300)
    labels = generator.random(300) < expit(0.05 * logits - 0.5)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None] / 40, labels)
    result = recalibration(labels, logits)
    assert result == pytest.approx((oracle.intercept_[0], oracle.coef_[0, 0] / 40), rel=1e-4)


def test_logits_shifted_and_stretched_are_found_out():
    generator = np.random.default_rng(1)
    truth = generator.normal(0, 2, size=40_000)
    labels = generator.random(40_000) < expit(truth)
    right = calibration(labels, truth)
    assert (right.intercept, right.slope) == pytest.approx((0, 1), abs=0.05)
    assert calibration(labels, truth - 0.7).intercept == pytest.approx(right.intercept + 0.7, abs=1e-6)
    assert calibration(labels, truth * 4).slope == pytest.approx(right.slope / 4, abs=1e-6)
    assert calibration(labels, truth * 4).brier > right.brier


def test_brier_by_hand():
    assert calibration([1, 0], [0.0, 0.0], [0.8, 0.4]).brier == pytest.approx((0.04 + 0.16) / 2)


@pytest.mark.parametrize("logits", [[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 2, 4], [-800, -700, 700, 800]])
def test_separated_classes_have_no_slope_and_say_why(logits):
    result = calibration([0, 0, 1, 1], logits)
    assert math.isnan(result.slope) and "separate the classes" in result.reason
    assert math.isfinite(result.intercept) and math.isfinite(result.brier)


def test_equal_logits_and_one_class_say_why():
    assert "all logits are the same" in calibration([0, 1, 1], [2, 2, 2]).reason
    alone = calibration([1, 1], [1, 2])
    assert math.isnan(alone.brier) and "got 2 positive and 0 negative" in alone.reason


def test_reliability_bins_hold_every_image_once_and_keep_equal_probabilities_together():
    generator = np.random.default_rng(2)
    chance = np.round(generator.random(200), 1)
    labels = generator.random(200) < chance
    bins = reliability(labels, chance, bins=5)
    assert sum(b.count for b in bins) == 200 and sum(b.positive for b in bins) == labels.sum()
    assert all(b.low <= b.observed <= b.high and b.observed == b.positive / b.count for b in bins)
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    assert len(reliability([1, 0, 1], [0.5, 0.5, 0.5])) == 1
    assert reliability([math.nan], [0.5]) == ()


def test_a_second_seed_does_not_narrow_the_bins():
    labels, chance = [1, 0, 0, 1, 1, 0], [0.2, 0.2, 0.2, 0.8, 0.8, 0.8]
    once, twice = reliability(labels, chance, bins=2), reliability(labels * 2, chance * 2, bins=2, repeats=2)
    assert [(b.low, b.high) for b in once] == [(b.low, b.high) for b in twice]
