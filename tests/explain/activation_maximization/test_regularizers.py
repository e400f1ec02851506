"""keras-vis' TV and LP: the known answers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxrlens.explain.activation_maximization.transforms import lp_norm, total_variation


def test_a_constant_image_has_no_total_variation() -> None:
    assert total_variation(torch.full((2, 3, 9, 7), 127.5)).tolist() == [0.0, 0.0]


def test_ten_times_the_lp_norm_of_half_grey_is_the_known_one() -> None:
    grey = torch.full((1, 3, 224, 224), 127.5)
    assert 10 * lp_norm(grey).item() == pytest.approx(0.061777, abs=5e-7)


def test_the_ramp_has_the_known_total_variation() -> None:
    ramp = 2.0 * torch.arange(5)[:, None] + 3.0 * torch.arange(7)[None, :]
    assert total_variation(ramp.expand(1, 3, 5, 7)).item() == pytest.approx(8.9142857, abs=1e-6)


@given(a=st.integers(-9, 9), b=st.integers(-9, 9), height=st.integers(2, 8), width=st.integers(2, 8))
def test_every_ramp_has_the_total_variation_of_its_formula(a: int, b: int, height: int, width: int) -> None:
    ramp = float(a) * torch.arange(height)[:, None] + float(b) * torch.arange(width)[None, :]
    expected = (height - 1) * (width - 1) / (height * width) * (a**2 + b**2)
    assert total_variation(ramp.expand(1, 3, height, width)).item() == pytest.approx(expected, rel=1e-5)


def test_steps_from_the_last_row_and_column_do_not_count() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 3, 3] = 100.0  # only steps to the right in the last row and down the last column end here
    assert total_variation(image).item() == 0.0


def test_the_lp_norm_is_the_sixth_one_by_hand_and_has_a_gradient_at_zero() -> None:
    images = torch.tensor([[[[1.0, -2.0]]], [[[0.0, 0.0]]]], requires_grad=True)
    norms = lp_norm(images)
    assert norms.tolist() == pytest.approx([65 ** (1 / 6) / 2, 0.0])
    (gradient,) = torch.autograd.grad(norms.sum(), images)
    assert gradient.isfinite().all()


def test_every_picture_of_a_batch_has_its_own() -> None:
    images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for penalty in (total_variation, lp_norm):
        alone = torch.cat([penalty(image[None]) for image in images])
        torch.testing.assert_close(penalty(images), alone)
