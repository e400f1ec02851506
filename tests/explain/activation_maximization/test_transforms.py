"""Where a picture's pixels go."""

from __future__ import annotations

import pytest
import torch

from cxrlens.data.seeds import generator
from cxrlens.explain.activation_maximization.transforms import (
    Jitter,
    Pad,
    Rotate,
    Scale,
    fitted,
    wrap_offsets,
    wrapped,
)

BLOCK = torch.arange(25.0).view(1, 1, 5, 5)


def test_keras_vis_jitter_of_a_twentieth_reaches_eleven_pixels_of_224_either_way() -> None:
    drawn = {offset for step in range(600) for offset in wrap_offsets(0.05, 224, generator(0, step))}
    assert drawn == set(range(-11, 12))


def test_wrapping_moves_down_and_right_and_loses_nothing() -> None:
    moved = wrapped(BLOCK, [(1, -2)])
    assert moved[0, 0, 1, 0] == BLOCK[0, 0, 0, 2]
    assert moved[0, 0, 0, 3] == BLOCK[0, 0, 4, 0]  # over both edges
    assert sorted(moved.flatten().tolist()) == BLOCK.flatten().tolist()
    assert torch.equal(wrapped(moved, [(-1, 2)]), BLOCK)


def test_each_picture_wraps_by_its_own_offsets() -> None:
    pair = wrapped(BLOCK.expand(2, 1, 5, 5), [(0, 0), (2, 0)])
    assert torch.equal(pair[0], BLOCK[0]) and pair[1, 0, 2, 0] == 0.0


def test_padding_puts_grey_around() -> None:
    padded = Pad(pixels=2).apply(BLOCK, [(0.0, 0.0)])
    assert padded.shape == (1, 1, 9, 9) and torch.equal(padded[:, :, 2:7, 2:7], BLOCK)
    assert padded[0, 0, 0].unique().tolist() == [0.5]


def test_jitter_is_a_window_at_any_of_its_places() -> None:
    rng, jitter = generator(0), Jitter(pixels=2)
    drawn = {jitter.draw(rng) for _ in range(200)}
    assert drawn == {(float(y), float(x)) for y in range(3) for x in range(3)}
    seen = jitter.apply(BLOCK.expand(2, 1, 5, 5), [(0.0, 0.0), (2.0, 1.0)])
    assert torch.equal(seen[0], BLOCK[0, :, :3, :3]) and torch.equal(seen[1], BLOCK[0, :, 2:, 1:4])


def test_scale_and_rotation_stay_within_their_bounds_and_reach_both() -> None:
    rng = generator(0)
    factors = [Scale().draw(rng)[0] for _ in range(300)]
    angles = [Rotate().draw(rng)[1] for _ in range(300)]
    assert 0.9 <= min(factors) < 0.905 and 1.095 < max(factors) <= 1.1
    assert -10 <= min(angles) < -9.5 and 9.5 < max(angles) <= 10


def test_a_quarter_turn_is_counter_clockwise_and_exact() -> None:
    turned = Rotate().apply(BLOCK, [(1.0, 90.0)])
    torch.testing.assert_close(turned[0, 0], torch.rot90(BLOCK[0, 0]), atol=1e-4, rtol=1e-5)


def test_twice_as_large_shows_the_middle() -> None:
    picture = torch.zeros(1, 1, 8, 8)
    picture[:, :, 2:6, 2:6] = 1.0
    assert torch.equal(Scale().apply(picture, [(2.0, 0.0)])[:, :, 1:7, 1:7], torch.ones(1, 1, 6, 6))


def test_no_change_is_the_picture_itself_and_the_outside_is_grey() -> None:
    torch.testing.assert_close(Scale().apply(BLOCK, [(1.0, 0.0)]), BLOCK)
    small = Scale().apply(torch.ones(1, 1, 8, 8), [(0.5, 0.0)])
    assert small[0, 0, 0, 0] == 0.5 and small[0, 0, 4, 4] == 1.0


@pytest.mark.parametrize("size", [3, 4, 5, 7, 8])
def test_fitting_takes_the_middle_or_puts_grey_around(size: int) -> None:
    fit = fitted(BLOCK, size)
    assert fit.shape == (1, 1, size, size)
    assert (fit == 12.0).nonzero()[0, 2:].tolist() == [2 + (size - 5) // 2] * 2
