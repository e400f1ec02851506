"""Debiased CKA: by hand, by what it must not mind, against loops over quadruples, and the intervals' coverage."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from cxrlens.audit.reuse.cka import cka, debiased_cka, delete_one, jackknife, patient_means
from cxrlens.errors import UserError


def draws(n: int, p: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, p))


def biased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al. 2019, eq. 2."""
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def hsic_by_quadruples(x: np.ndarray, y: np.ndarray) -> float:
    """The definition as a U-statistic: E[k l] + E[k] E[l] - 2 E[k(1, 2) l(1, 3)] over different points."""
    k, l = x @ x.T, y @ y.T  # noqa: E741
    four = list(permutations(range(len(x)), 4))
    return sum(k[i, j] * l[i, j] + k[i, j] * l[q, r] - 2 * k[i, j] * l[i, q] for i, j, q, r in four) / len(four)


def test_it_is_what_loops_over_all_quadruples_give() -> None:
    x, y = draws(7, 3), draws(7, 4, seed=1) + draws(7, 4)
    by_loops = hsic_by_quadruples(x, y) / np.sqrt(hsic_by_quadruples(x, x) * hsic_by_quadruples(y, y))
    assert debiased_cka(x, y) == pytest.approx(by_loops, abs=1e-10)


def test_each_point_left_out_is_the_estimate_of_the_others() -> None:
    x, y = draws(9, 20), draws(9, 5, seed=1)
    by_hand = [debiased_cka(np.delete(x, place, 0), np.delete(y, place, 0)) for place in range(9)]
    assert delete_one(x, y)[1:] == pytest.approx(by_hand, abs=1e-10)


def test_features_with_themselves_are_exactly_1_and_so_is_the_interval() -> None:
    x = draws(30, 500).astype(np.float32) * 1e-20
    result = cka(x, x.copy(), np.arange(30))
    assert (result.value, result.low, result.high, result.patients) == (1.0, 1.0, 1.0, 30)


def test_rotation_scale_and_shift_change_nothing() -> None:
    x, y = draws(20, 6), draws(20, 6, seed=1)
    turned = np.linalg.qr(draws(6, 6, seed=2))[0]
    assert debiased_cka(x, 1e3 * x @ turned + 7) == pytest.approx(1, abs=1e-9)
    assert debiased_cka(x, 1e-6 * y @ turned - 3) == pytest.approx(debiased_cka(x, y), abs=1e-9)
    assert debiased_cka(y, x) == pytest.approx(debiased_cka(x, y), abs=1e-12)


def test_unrelated_features_that_outnumber_images_give_0_where_the_biased_estimate_gives_1() -> None:
    pairs = [(draws(96, 5000, seed), draws(96, 5000, seed + 100)) for seed in range(5)]
    assert min(biased_cka(x, y) for x, y in pairs) > 0.97
    assert max(abs(debiased_cka(x, y)) for x, y in pairs) < 0.06
    result = cka(*pairs[0], np.arange(96))
    assert result.low < 0 < result.high


def test_a_patients_repeated_images_bring_no_bias_back() -> None:
    x, y = draws(30, 3000), draws(30, 3000, seed=1)
    twice, patients = np.tile(np.arange(30), 2), np.tile(np.arange(30), 2)
    assert debiased_cka(x[twice], y[twice]) > 0.9  # as if they were independent
    assert cka(x[twice], y[twice], patients).value == pytest.approx(debiased_cka(x, y), abs=1e-9)


def test_patients_are_averaged_in_the_order_of_their_names() -> None:
    features = np.array([[1.0, 0.0], [5.0, 2.0], [3.0, 4.0]], np.float32)
    assert patient_means(features, ["b", "a", "b"]).tolist() == [[5.0, 2.0], [2.0, 2.0]]


@pytest.mark.parametrize("features", [5, 200])
def test_the_interval_covers_the_truth_as_often_as_it_says(features: int) -> None:
    generator = np.random.default_rng(0)
    one, other = (generator.normal(size=(features, features)) * np.linspace(0.1, 1, features) for _ in range(2))
    other = one + other
    truth = np.linalg.norm(one.T @ other) ** 2 / (np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other))
    points = [generator.normal(size=(40, features)) for _ in range(200)]
    result = [jackknife(delete_one(each @ one, each @ other)) for each in points]
    assert np.mean([each.value for each in result]) == pytest.approx(truth, abs=0.02)
    assert np.mean([each.low <= truth <= each.high for each in result]) > 0.92
    assert all(-1 <= each.low <= each.value <= each.high <= 1 for each in result)


def test_features_that_are_the_same_for_all_have_no_similarity() -> None:
    result = cka(np.full((8, 3), 0.1), draws(8, 3), np.arange(8))
    assert np.isnan([result.value, result.low, result.high]).all()


def test_four_patients_have_a_value_and_no_interval() -> None:
    result = cka(draws(4, 3), draws(4, 3, seed=1), list("abcd"))
    assert np.isfinite(result.value) and np.isnan([result.low, result.high]).all()


def test_too_few_patients_and_other_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"needs at least 4 points \(patients\).* got 3 and 3"):
        cka(draws(5, 2), draws(5, 2), list("aabbc"))
    with pytest.raises(UserError, match="a patient for each image; got 4 for 5"):
        cka(draws(5, 2), draws(5, 2), list("abcd"))
