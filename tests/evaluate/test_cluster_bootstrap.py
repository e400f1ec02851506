import numpy as np
import pytest

from cxrlens.evaluate.cluster_bootstrap import percentile_interval, two_sided_p


def test_the_interval_leaves_0_outside_exactly_where_p_is_small():
    generator = np.random.default_rng(4)
    for _ in range(200):
        values = generator.normal(generator.uniform(-3, 3), size=generator.integers(60, 150))
        low, high = percentile_interval(values, 0.9)
        assert (not low <= 0 <= high) == (two_sided_p(values) <= 0.1 + 1e-12)


def test_the_percentile_interval_counts_from_both_ends():
    values = np.arange(1, 100.0)
    assert percentile_interval(values, 0.9) == pytest.approx((5, 95))
    assert percentile_interval(np.append(values, np.nan), 0.9) == pytest.approx((5, 95))
    assert np.isnan(percentile_interval(values[:10], 0.95)).all()
