"""Parts taken out of images, by hand."""

from __future__ import annotations

import numpy as np
import torch

from cxrlens.audit.masking import border, corners, filled, imputed, mean_grey


def test_a_mask_for_all_or_for_each_is_one_grey_and_the_rest_stays() -> None:
    pixels = torch.arange(8.0).view(2, 1, 2, 2) / 10
    before = pixels.clone()
    mask = np.array([[True, False], [False, False]])
    np.testing.assert_allclose(filled(pixels, mask, 0.5).flatten(), [0.5, 0.1, 0.2, 0.3, 0.5, 0.5, 0.6, 0.7])
    each = np.stack([mask, ~mask])
    np.testing.assert_allclose(filled(pixels, each, 0.0).flatten(), [0, 0.1, 0.2, 0.3, 0.4, 0, 0, 0])
    assert torch.equal(pixels, before) and filled(pixels, mask, 0.5).dtype == torch.float32


def test_the_grey_is_the_mean_of_all_images_together() -> None:
    assert mean_grey(torch.tensor([0.0, 0.0, 0.6, 1.0]).view(2, 1, 1, 2)) == np.float32(0.4)


def test_corners_are_four_rectangles_of_these_shares() -> None:
    expected = np.zeros((10, 10), bool)
    for row, column in ((0, 0), (0, 7), (8, 0), (8, 7)):
        expected[row : row + 2, column : column + 3] = True
    np.testing.assert_array_equal(corners(10, width=0.3, height=0.2), expected)
    assert corners(64, 0.5, 0.5).all() and not corners(64, 0.001, 0.5).any()


def test_a_border_is_a_frame_and_never_nothing() -> None:
    frame = border(10, 0.2)
    assert not frame[2:8, 2:8].any() and frame.sum() == 100 - 36
    assert border(10, 0.001).sum() == 36


def test_what_is_filled_from_around_it_is_between_what_is_there_and_the_rest_stays() -> None:
    pixels = torch.tensor([[0.0, 0.9, 1.0], [0.2, 0.2, 0.2]]).view(2, 1, 1, 3)
    before = pixels.clone()
    middle = np.array([[False, True, False]])
    np.testing.assert_allclose(imputed(pixels, middle).flatten(), [0, 0.5, 1, 0.2, 0.2, 0.2], rtol=1e-6)
    each = np.stack([middle, np.zeros_like(middle)])
    np.testing.assert_allclose(imputed(pixels, each).flatten(), [0, 0.5, 1, 0.2, 0.2, 0.2], rtol=1e-6)
    assert torch.equal(pixels, before) and imputed(pixels, middle).dtype == torch.float32
