"""SSIM and Spearman of maps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cxrlens.audit.maps.similarity import MEASURES, agreement, similarities, spearman, ssim
from cxrlens.errors import UserError


def maps(seed: int, side: int = 20, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, side, side + 3))


def test_ssim_is_wangs_formula_written_out_window_by_window() -> None:
    a, b = np.random.default_rng(0).random((2, 20, 23))
    b = (a + b) / 2
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    result = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            m, n = (window * p).sum(), (window * q).sum()
            v, w = (window * (p - m) ** 2).sum(), (window * (q - n) ** 2).sum()
            covariance = (window * (p - m) * (q - n)).sum()
            result.append((2 * m * n + c1) * (2 * covariance + c2) / ((m * m + n * n + c1) * (v + w + c2)))
    assert ssim(a[None], b[None])[0] == pytest.approx(np.mean(result))


def test_spearman_is_scipys_ties_included() -> None:
    a, b = maps(0).round(), (maps(1) + maps(0)).round()
    assert spearman(a, b) == pytest.approx(
        [stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    )


def test_a_map_is_like_itself_in_any_unit() -> None:
    for result in similarities(maps(0), 1e-20 * maps(0)).values():
        assert result == pytest.approx(np.ones(3))


def test_the_sign_counts_in_signed_maps_alone() -> None:
    result = similarities(maps(0), -maps(0))
    assert result["spearman_signed"] == pytest.approx(-np.ones(3)) and (result["ssim_signed"] < -0.5).all()
    assert result["spearman_absolute"] == pytest.approx(np.ones(3))
    assert result["ssim_absolute"] == pytest.approx(np.ones(3))


def test_noise_is_like_nothing() -> None:
    result = similarities(maps(0, 60), maps(1, 60))
    assert all(np.abs(result[name]).max() < 0.1 for name in ("ssim_signed", "spearman_signed", "spearman_absolute"))


@pytest.mark.parametrize("constant", [0.0, 3.0, -1.0])
def test_a_constant_map_is_like_nothing_and_costs_its_neighbours_nothing(constant: float) -> None:
    flat = maps(0)
    flat[1] = constant
    for name, result in similarities(flat, maps(1)).items():
        assert np.isnan(result).tolist() == [False, True, False], name
    assert np.isnan(similarities(flat, flat)["ssim_signed"]).tolist() == [False, True, False]
    either = np.stack([np.sign(maps(0)[0]), maps(0)[1]])  # its magnitude is constant, it is not
    result = similarities(either, either)
    assert result["ssim_signed"] == pytest.approx(np.ones(2))
    assert np.isnan(result["spearman_absolute"]).tolist() == [True, False]


def test_a_grad_cam_of_few_cells_can_be_compared() -> None:
    a = np.random.default_rng(0).normal(size=(2, 3, 3))
    assert all(np.isfinite(each).all() for each in similarities(a, a[::-1]).values())


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(UserError, match="the same shape"):
        similarities(maps(0), maps(0, 21))


def test_networks_that_agree_on_each_image_agree_beyond_what_maps_share_anyway() -> None:
    each, generator = maps(0, 24, 8), np.random.default_rng(0)
    noisy = [each + 0.3 * maps(seed, 24, 8) for seed in (1, 2, 3)]
    result = agreement(noisy, np.arange(8), generator, "spearman_signed")
    assert result.same_image.low > 0.7 and result.other_image.high < 0.1 and result.networks == 3
    pairs = [spearman(noisy[a], noisy[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert result.same_image.mean == pytest.approx(np.mean(pairs))
    assert agreement(noisy, np.arange(8), generator).measure in MEASURES
    with pytest.raises(UserError, match="at least 2 networks; got 1"):
        agreement(noisy[:1], np.arange(8), generator)
