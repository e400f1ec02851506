"""Known pictures have known spectra and colours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrlens.explain.activation_maximization.records import RINGS, colour_variance, mean_frequency, radial_spectrum


def wave(cycles: int, side: int = 64) -> np.ndarray:
    line = 0.5 + 0.4 * np.sin(2 * np.pi * cycles * np.arange(side) / side)
    return np.broadcast_to(line, (1, 3, side, side)).astype(np.float32)


@pytest.mark.parametrize("cycles", [4, 10, 25])
def test_a_wave_has_its_own_frequency_in_either_direction(cycles: int) -> None:
    for picture in (wave(cycles), wave(cycles).swapaxes(2, 3)):
        middles, shares = radial_spectrum(picture)
        assert abs(middles[shares[0].argmax()] - cycles / 64) <= 0.5 / RINGS / 2
        assert mean_frequency(picture)[0] == pytest.approx(cycles / 64, abs=0.02)


def test_white_noise_fills_every_ring_by_its_area() -> None:
    middles, shares = radial_spectrum(np.random.default_rng(0).random((20, 3, 128, 128)))
    noise = np.random.default_rng(0).random((20, 3, 128, 128))
    assert mean_frequency(noise).mean() == pytest.approx(1 / 3, abs=0.003)
    np.testing.assert_allclose(shares.mean(0)[2:], (middles / middles.sum())[2:], rtol=0.15)


def test_brightness_and_contrast_change_no_spectrum() -> None:
    picture = np.random.default_rng(1).random((2, 3, 32, 32)) * 0.5
    np.testing.assert_allclose(radial_spectrum(picture)[1], radial_spectrum(picture * 0.3 + 0.4)[1], atol=1e-9)


def test_an_even_picture_has_neither_power_nor_colour() -> None:
    tint = np.ones((1, 3, 16, 16)) * np.array([0.9, 0.1, 0.4])[:, None, None]
    assert not radial_spectrum(tint)[1].any() and mean_frequency(tint)[0] == 0
    assert colour_variance(tint)[0] == 0


@given(st.integers(0, 1000))
def test_colour_is_a_share_and_none_of_a_grey_picture(seed: int) -> None:
    picture = np.random.default_rng(seed).random((1, 3, 8, 8))
    assert 0 <= colour_variance(picture)[0] <= 1
    assert colour_variance(np.repeat(picture[:, :1], 3, 1))[0] == pytest.approx(0, abs=1e-9)


def test_three_channels_of_their_own_are_two_thirds_colour() -> None:
    picture = np.random.default_rng(0).random((1, 3, 256, 256))
    assert colour_variance(picture)[0] == pytest.approx(2 / 3, abs=0.01)
