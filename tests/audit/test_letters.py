"""Letters and signs are found where the phantom printed them, and not where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from cxrlens.audit.masking import letters
from cxrlens.data.phantom import PhantomImage, PhantomOptions, render
from cxrlens.data.phantom.markers import glyphs, plant, put


@pytest.fixture(scope="module")
def marked() -> list[PhantomImage]:
    options = PhantomOptions(size=224, marker_positive=1, marker_negative=1, seed=5)
    return [render(patient, 1, options) for patient in range(16)]


def found(grey: np.ndarray) -> np.ndarray:
    return letters(grey[None])[0]


def test_nine_in_ten_pixels_of_the_planted_marker_are_found_in_every_image(marked: list[PhantomImage]) -> None:
    shares = [letters(each.pixels)[0][each.marker].mean() for each in marked]
    assert min(shares) > 0.9 and np.mean(shares) > 0.98


def test_what_the_sites_print_is_mostly_found(marked: list[PhantomImage]) -> None:
    shares = [letters(each.pixels)[0][each.text].mean() for each in marked if each.text.any()]
    assert len(shares) > 8 and np.mean(shares) > 0.75


def test_little_else_is_taken_for_letters(marked: list[PhantomImage]) -> None:
    shares = [letters(each.pixels)[0].mean() for each in marked]
    assert np.mean(shares) < 0.05 and max(shares) < 0.1


def test_in_any_corner_and_upside_down(marked: list[PhantomImage]) -> None:
    for each in marked[:6]:
        grey = each.pixels[0]
        for turn in (lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a[::-1, ::-1]):
            assert found(turn(grey).copy())[turn(each.marker)].mean() > 0.9


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_single_letter_however_it_was_laid(turns: int) -> None:
    grey = np.full((224, 224), 0.3)
    where = put(grey, np.rot90(glyphs("L", 11), turns), 20, 190)
    mask = found(grey)
    assert mask[where].mean() > 0.9 and mask.sum() < 6 * where.sum()


def test_letters_cut_out_of_a_bright_box_and_letters_at_the_very_rim() -> None:
    grey = np.full((224, 224), 0.3)
    boxed, rim = put(grey, glyphs("L", 11, "box"), 60, 60), put(grey, glyphs("PA", 9), 0, 0)
    mask = found(grey)
    assert mask[rim].mean() > 0.9 and mask[boxed].mean() > 0.5


def test_an_image_without_letters_has_none() -> None:
    across = np.linspace(0, 1, 224)
    smooth = 0.5 + 0.3 * np.outer(np.sin(6 * across), np.cos(9 * across))  # as steep as ribs
    half = np.tile(across > 0.5, (224, 1)).astype(float)  # an edge is no letter
    for grey in (np.zeros((224, 224)), np.ones((224, 224)), smooth, np.tile(across, (224, 1)), half):
        assert not found(grey).any()
    film = 0.4 + 0.02 * np.random.default_rng(0).standard_normal((224, 224))
    assert not found(film).any()


def test_images_of_any_size_are_asked_one_by_one() -> None:
    greys = np.full((3, 128, 128), 0.3, np.float32)
    where = plant(greys[1], np.random.default_rng(0))
    masks = letters(greys)
    assert masks.shape == greys.shape and masks.dtype == bool
    assert not masks[0].any() and not masks[2].any() and masks[1][where].mean() > 0.9
    assert letters(greys[:0]).shape == (0, 128, 128)
