"""Noisy linear imputation."""

from __future__ import annotations

import numpy as np
import pytest

from cxrlens.audit.maps.faithfulness import impute
from cxrlens.errors import UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dense(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The same system, written out pixel by pixel."""
    height, width = image.shape
    system, given = np.eye(image.size), np.where(removed, 0, image).ravel()
    for y, x in np.argwhere(removed):
        weights = {}
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                if (dy, dx) != (0, 0) and 0 <= y + dy < height and 0 <= x + dx < width:
                    weights[y + dy, x + dx] = 1 / 6 if dy * dx == 0 else 1 / 12
        for (i, j), weight in weights.items():
            system[y * width + x, i * width + j] -= weight / sum(weights.values())
    return np.linalg.solve(system, given).reshape(image.shape)


def test_one_pixel_is_the_weighted_mean_of_its_eight_neighbours() -> None:
    image = np.array([[[1.0, 2.0, 3.0], [4.0, -50.0, 6.0], [7.0, 8.0, 10.0]]])
    removed = np.zeros((3, 3), bool)
    removed[1, 1] = True
    assert impute(image, removed)[0, 1, 1] == pytest.approx((2 + 4 + 6 + 8) / 6 + (1 + 3 + 7 + 10) / 12)
    assert image[0, 1, 1] == -50


def test_at_the_rim_the_neighbours_that_are_there_share_the_whole() -> None:
    image = np.array([[[9.0, 2.0], [4.0, 8.0]]])
    removed = np.array([[True, False], [False, False]])
    assert impute(image, removed)[0, 0, 0] == pytest.approx((2 * 2 + 2 * 4 + 8) / 5)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.97])
def test_it_solves_the_system_that_is_written_out(share: float) -> None:
    images, removed = rng().random((3, 9, 12)), rng(1).random((3, 9, 12)) < share
    expected = np.stack([dense(*each) for each in zip(images, removed, strict=True)])
    np.testing.assert_allclose(impute(images, removed), expected, atol=1e-12)


def test_one_mask_for_all_is_that_mask_for_each_and_the_order_of_masks_is_kept() -> None:
    images, removed = rng().random((4, 9, 12)), rng(1).random((2, 9, 12)) < 0.5
    np.testing.assert_allclose(impute(images, removed[0]), impute(images, np.repeat(removed[:1], 4, 0)))
    mixed = impute(images, removed[[0, 1, 0, 1]])
    np.testing.assert_allclose(mixed[[0, 2]], impute(images[[0, 2]], removed[0]))
    np.testing.assert_allclose(mixed[[1, 3]], impute(images[[1, 3]], removed[1]))


def test_a_slope_is_filled_as_a_slope_and_what_was_kept_is_kept() -> None:
    slope = np.add.outer(np.arange(60.0), 2 * np.arange(60.0))[None]
    removed = np.zeros((60, 60), bool)
    removed[10:50, 5:55] = True
    holed = np.where(removed, -1000.0, slope)
    np.testing.assert_allclose(impute(holed, removed), slope, atol=1e-9)


def test_no_value_leaves_the_range_of_what_was_kept() -> None:
    images, removed = rng().random((5, 20, 20)).astype(np.float32), rng(1).random((20, 20)) < 0.9
    removed[:12, :12] = True
    filled = impute(images, removed)
    assert filled.dtype == np.float32
    for before, after in zip(images, filled, strict=True):
        assert before[~removed].min() <= after.min() and after.max() <= before[~removed].max()


def test_where_all_is_removed_the_image_is_its_mean_and_where_nothing_is_it_stays() -> None:
    images, removed = rng().random((2, 4, 5)), np.zeros((2, 4, 5), bool)
    removed[1] = True
    filled = impute(images, removed, rng=rng())
    assert (filled[0] == images[0]).all()
    assert filled[1].mean() == pytest.approx(images[1].mean(), abs=0.01)
    assert (impute(images, removed)[1] == images[1].mean()).all()


def test_noise_is_on_the_filled_alone_and_hangs_on_the_generator() -> None:
    images, removed = rng().random((2, 60, 60)), np.zeros((60, 60), bool)
    removed[:, 20:50] = True
    clean, noisy = impute(images, removed), impute(images, removed, 0.2, rng())
    assert (noisy[:, ~removed] == images[:, ~removed]).all()
    assert (noisy - clean)[:, removed].std() == pytest.approx(0.2, rel=0.05)
    assert (noisy == impute(images, removed, 0.2, rng())).all()
    assert (clean == impute(images, removed, 0.0, rng())).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="bool mask"):
        impute(np.zeros((2, 4, 4)), np.zeros((4, 5), bool))
    with pytest.raises(UserError, match="int64"):
        impute(np.zeros((2, 4, 4)), np.zeros((4, 4), np.int64))
