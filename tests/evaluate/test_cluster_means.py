"""Means over images, by patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import mean_over_patients


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_with_one_image_a_patient_the_interval_is_the_means_usual_one() -> None:
    values = rng(1).normal(3, 2, 400)
    result = mean_over_patients(values, np.arange(400), null=3.0)
    assert result.mean == pytest.approx(values.mean())
    error = values.std(ddof=1) / 20
    assert (result.high - result.low) / 2 == pytest.approx(stats.t.ppf(0.975, 399) * error)
    assert result.p == pytest.approx(stats.ttest_1samp(values, 3.0).pvalue)
    assert result.null == 3.0 and result.p > 0.05
    assert mean_over_patients(values, np.arange(400)).p < 0.01


def test_copies_of_a_patients_images_add_nothing() -> None:
    values = rng(1).normal(size=30)
    once = mean_over_patients(values, np.arange(30))
    often = mean_over_patients(values.repeat(5), np.arange(30).repeat(5))
    assert (often.mean, often.low, often.high) == pytest.approx((once.mean, once.low, once.high))
    assert (often.images, often.patients) == (150, 30)


def test_images_count_alike_whoever_has_more_of_them() -> None:
    assert mean_over_patients([1.0, 1.0, 1.0, 5.0], list("aaab")).mean == 2.0


def test_the_unknown_is_left_out() -> None:
    values, patients = rng(1).normal(size=20), np.arange(20)
    some = values.copy()
    some[10:] = np.nan
    known, only = mean_over_patients(some, patients), mean_over_patients(values[:10], patients[:10])
    assert known == only and known.images == 10


def test_repeats_count_as_well() -> None:
    values = np.arange(8.0)[:, None] + np.zeros(50)
    many = mean_over_patients(values, np.arange(50))
    assert many.mean == 3.5 and many.high - many.low > 2
    alike = mean_over_patients(np.zeros((8, 1)) + rng(1).normal(size=50), np.arange(50))
    single = mean_over_patients(rng(1).normal(size=50), np.arange(50))
    assert (alike.low, alike.high) == pytest.approx((single.low, single.high))


def test_one_patient_gives_no_interval_and_no_image_no_mean() -> None:
    one = mean_over_patients([1.0, 3.0], ["a", "a"])
    assert one.mean == 2.0 and np.isnan([one.low, one.high, one.p]).all()
    none = mean_over_patients([np.nan], ["a"])
    assert np.isnan(none.mean) and none.images == 0


def test_a_patient_for_each_value_is_needed() -> None:
    with pytest.raises(UserError, match="got 2 values and 1 patients"):
        mean_over_patients([1.0, 2.0], ["a"])
