"""Means over seeds: by hand, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from cxrlens.errors import UserError
from cxrlens.evaluate.comparisons import over_seeds, seed_differences


def test_the_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    result = over_seeds(values)
    expected = stats.t.interval(0.95, 3, loc=3.0, scale=stats.sem(values))
    assert (result.mean, result.seeds) == (3.0, 4)
    assert (result.low, result.high) == pytest.approx(expected)


def test_one_seed_is_refused() -> None:
    with pytest.raises(UserError, match="needs at least 2 seeds; got 1"):
        over_seeds(np.array([1.0]))


def test_every_pair_is_welchs_and_corrected_by_holm() -> None:
    draws = np.random.default_rng(0)
    models = {"a": draws.normal(0, 1, 10), "b": draws.normal(0.1, 2, 10), "c": draws.normal(5, 1, 10)}
    result = {(each.a, each.b): each for each in seed_differences(models)}
    assert list(result) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (a, b), each in result.items():
        oracle = stats.ttest_ind(models[a], models[b], equal_var=False)
        assert each.difference == pytest.approx(models[a].mean() - models[b].mean())
        assert each.p == pytest.approx(oracle.pvalue)
        assert (each.low, each.high) == pytest.approx(tuple(oracle.confidence_interval()))
        assert each.p_holm >= each.p
    assert result["a", "c"].p_holm < 0.001 and result["b", "c"].p_holm < 0.01


def test_without_any_spread_only_equal_means_are_equal() -> None:
    same, other = (
        seed_differences({"a": np.ones(3), "b": np.ones(3)}),
        seed_differences({"a": np.ones(3), "b": np.zeros(3)}),
    )
    assert (same[0].p, other[0].p) == (1.0, 0.0)
