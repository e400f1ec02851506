"""The contact sheet: which panel holds what, read back from the figure."""

from __future__ import annotations

import io

import numpy as np
import pytest

from cxrlens.data.augment import SIX, Augmentation, Parameters, apply, combinations
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.report.augment_sheet import augment_sheet, caption


def images(count: int = 4) -> list[np.ndarray]:
    return [generator(index).random((20, 24), dtype=np.float32) for index in range(count)]


def panels(figure) -> np.ndarray:
    return np.array([axes.images[0].get_array() for axes in figure.axes])


def captions(figure) -> list[str]:
    return [axes.get_xlabel() for axes in figure.axes]


def test_rows_are_images_and_columns_the_original_and_each_augmentation():
    figure = augment_sheet(images(2), ["a.png", "b.png"], SIX, seed=0)
    assert len(figure.axes) == 2 * 7
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes[:7]]
    assert titles == ["original", *SIX]
    drawn = panels(figure).reshape(2, 7, 20, 24)
    assert np.array_equal(drawn[:, 0], np.stack(images(2)))
    assert np.array_equal(drawn[:, 1], np.stack(images(2))[:, :, ::-1])  # the flip is shown in every row
    assert not any(np.array_equal(drawn[0, 0], drawn[0, column]) for column in range(1, 7))
    assert [figure.axes[0].get_ylabel(), figure.axes[7].get_ylabel()] == ["a.png", "b.png"]
    assert all(axes.images[0].get_clim() == (0, 1) for axes in figure.axes)


def test_the_rows_spread_over_the_whole_range():
    shift = {"width_shift": Augmentation(width_shift=0.4)}
    figure = augment_sheet(images(4), list("abcd"), shift, seed=3)
    drawn = sorted(float(text.split()[1].rstrip("%")) for text in captions(figure) if text)
    for value, low in zip(drawn, (-40, -20, 0, 20), strict=True):
        assert low <= value <= low + 20


def test_a_column_shows_the_same_whatever_stands_beside_it():
    alone = augment_sheet(images(3), list("abc"), {"rotation": SIX["rotation"]}, seed=1)
    beside = augment_sheet(images(3), list("abc"), SIX, seed=1)
    assert np.array_equal(panels(alone)[1::2], panels(beside)[6::7])
    other = augment_sheet(images(3), list("abc"), {"rotation": SIX["rotation"]}, seed=2)
    assert not np.array_equal(panels(alone), panels(other))


def test_the_caption_says_what_was_done():
    assert caption(Parameters()) == "unchanged"
    everything = Parameters(True, 0.05, 1.1, 0.5, -0.02, 3)
    assert caption(everything) == "flipped, shift +5.0%, zoom × 1.10, channels -0.02, +3.0°, brightness × 0.50"
    figure = augment_sheet(images(1), ["a"], {"bright": Augmentation(brightness=(0.7, 0.7))}, seed=0)
    assert captions(figure) == ["", "brightness × 0.70"]
    assert np.array_equal(panels(figure)[1], apply(images(1)[0], Parameters(brightness=0.7)))


def test_a_file_name_with_dollars_is_no_formula_and_the_sheet_can_be_saved():
    figure = augment_sheet(images(1), ["$\\frac{x$" + "long" * 20 + ".PNG"], combinations(), seed=0)
    saved = io.BytesIO()
    figure.savefig(saved, format="png", dpi=40)
    assert saved.getvalue().startswith(b"\x89PNG")


def test_no_image_is_an_error():
    with pytest.raises(UserError, match="at least one image"):
        augment_sheet([], [], SIX, seed=0)
