"""Starts, spectra and colours, by hand and there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cxrlens.data.seeds import generator
from cxrlens.explain.activation_maximization.parametrizations import (
    CORRELATION,
    Fourier,
    Pixels,
    correlated,
    frequency_scale,
    standardised,
)
from cxrlens.explain.activation_maximization.transforms import total_variation


def test_the_start_of_keras_vis_has_its_mean_deviation_and_shape() -> None:
    start = Pixels().start(224, generator(0))
    assert start.shape == (3, 224, 224) and start.dtype == torch.float32
    assert start.mean().item() == pytest.approx(127.5, abs=1e-3)
    assert start.std(correction=0).item() == pytest.approx(12.75, abs=1e-3)
    assert (start.max() - start.min()).item() == pytest.approx(12.75 * 12**0.5, rel=5e-3)  # uniform


def test_the_start_s_expected_total_variation_is_the_known_one() -> None:
    variations = [10 * total_variation(Pixels().start(224, generator(seed))[None]).item() for seed in range(8)]
    assert np.mean(variations) == pytest.approx(6444.6, rel=2e-3)


def test_keras_vis_shows_any_range_around_half_grey_and_clips() -> None:
    image = torch.tensor([[[[0.0, 10.0], [20.0, 30.0]]]])
    expected = (np.array([-15.0, -5.0, 5.0, 15.0]) / 125**0.5 * 0.1 + 0.5).tolist()
    assert standardised(image).flatten().tolist() == pytest.approx(expected)
    spike = torch.zeros(1, 1, 10, 10)
    spike[0, 0, 0, 0] = 1e6
    assert standardised(spike).max() == 1.0
    assert standardised(torch.full((1, 3, 4, 4), 7.0)).unique().tolist() == [0.5]  # no variation, no picture


def test_each_picture_is_shown_in_its_own_range() -> None:
    pair = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 200.0]).view(
        2, 1, 1, 1
    )
    torch.testing.assert_close(standardised(pair)[1], standardised(pair[1:])[0])


def test_what_the_network_gets_is_divided_only_where_asked() -> None:
    x = torch.full((1, 3, 2, 2), 51.0)
    assert Pixels().network_input(x).unique().item() == 51.0
    assert Pixels(divided_by=255.0).network_input(x).unique().item() == pytest.approx(0.2)


@pytest.mark.parametrize("size", [8, 9])
def test_a_spectrum_s_picture_gives_the_spectrum_back(size: int) -> None:
    x = Fourier(deviation=1.0).start(size, generator(3))[None]
    x[..., 0, 1] = 0.0  # the imaginary parts that a real picture has no use for
    x[..., [0], :, 1] = 0.0
    if size % 2 == 0:
        x[:, :, [0, size // 2], :, 1], x[..., size // 2, 1] = 0.0, 0.0
    half = (size - 1) // 2  # column 0 and, for even sizes, the last: the lower half mirrors the upper
    for column in {0, size // 2} if size % 2 == 0 else {0}:
        x[:, :, size - half :, column, :] = 0.0
        upper = x[:, :, 1 : half + 1, column, :].flip(2)
        x[:, :, size - half :, column, :] = upper
        x[:, :, :, column, 1] = 0.0
    picture = Fourier().image(x)
    colours = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(CORRELATION.double()), torch.logit(picture.double()))
    back = torch.fft.rfft2(4 * colours, norm="ortho") / frequency_scale(size, 1.0)
    torch.testing.assert_close(torch.view_as_real(back).float(), x, rtol=1e-3, atol=1e-4)


def test_the_frequency_scale_is_one_over_the_frequency_by_hand() -> None:
    scale = frequency_scale(4, 1.0)
    assert scale.shape == (4, 3)
    root = 2**0.5
    by_hand = [[4.0, 4.0, 2.0], [4.0, 4 / root, 4 / 5**0.5], [2.0, 4 / 5**0.5, 2 / root], [4.0, 4 / root, 4 / 5**0.5]]
    torch.testing.assert_close(scale, torch.tensor(by_hand))
    assert frequency_scale(4, 0.0).unique().tolist() == [1.0]


def test_one_frequency_makes_the_wave_it_names() -> None:
    x = torch.zeros(1, 1, 8, 5, 2)
    x[0, 0, 0, 2, 0] = 1.0  # two cycles across
    picture = torch.logit(Fourier(colour="grey", decay=0.0).image(x)[0, 0])
    wave = 2 / 8 * torch.cos(2 * torch.pi * 2 * torch.arange(8) / 8) / 4
    torch.testing.assert_close(picture, wave.expand(8, 8), atol=1e-6, rtol=1e-5)


def test_the_colour_matrix_is_lucid_s_by_hand() -> None:
    longest = (0.26**2 + 2 * 0.27**2) ** 0.5  # the column of brightness
    root = [[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]]
    torch.testing.assert_close(CORRELATION, torch.tensor(root) / longest)
    bright = correlated(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).flatten()
    assert bright.tolist() == pytest.approx([0.26 / longest, 0.27 / longest, 0.27 / longest])


def test_grey_is_one_channel_three_times() -> None:
    for form in (Fourier(colour="grey"), Pixels(colour="grey")):
        x = form.start(6, generator(0))[None]
        assert x.shape[1] == 1
        image = form.image(x)
        assert image.shape == (1, 3, 6, 6) and (image == image[:, :1]).all()


def test_the_start_of_a_spectrum_is_half_grey_with_a_faint_contrast() -> None:
    picture = Fourier().image(Fourier().start(64, generator(0))[None])
    assert picture.shape == (1, 3, 64, 64)
    assert picture.min() > 0.35 and picture.max() < 0.65
    assert 0.015 < picture.std() < 0.04  # an even grey leaves some networks without any gradient
