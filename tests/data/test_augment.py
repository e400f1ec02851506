"""The six augmentations: by hand on small arrays, by invariant, and brightness against Pillow, which Keras calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy import ndimage

from cxrlens.config import parse
from cxrlens.data.augment import Augmentation, Parameters, apply
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError

ALL_SIX = Augmentation(
    horizontal_flip=True, width_shift=0.2, zoom=(0.8, 1.25), brightness=(0.5, 1.2), channel_shift=0.3, rotation=15
)
RAMP = np.array([[0.0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7]], dtype=np.float32)


def noise(height: int = 13, width: int = 16, seed: int = 0) -> np.ndarray:
    return generator(seed).random((height, width), dtype=np.float32)


def smooth(size: int = 41) -> np.ndarray:
    image = ndimage.gaussian_filter(noise(size, size), 4)
    return ((image - image.min()) / (image.max() - image.min())).astype(np.float32)


def parameters_strategy() -> st.SearchStrategy[Parameters]:
    return st.builds(
        Parameters,
        flip=st.booleans(),
        shift=st.floats(-0.99, 0.99),
        zoom=st.floats(0.2, 5),
        brightness=st.none() | st.floats(0.01, 3),
        channel_shift=st.floats(-1, 1),
        rotation=st.floats(-180, 180),
    )


# By hand


def test_a_flip_exchanges_left_and_right_exactly():
    assert np.array_equal(apply(RAMP, Parameters(flip=True)), RAMP[:, ::-1])


def test_a_shift_by_whole_pixels_is_exact_and_repeats_the_edge():
    assert np.array_equal(apply(RAMP, Parameters(shift=0.25)), RAMP[:, [0, 0, 1, 2]])
    assert np.array_equal(apply(RAMP, Parameters(shift=-0.5)), RAMP[:, [2, 3, 3, 3]])
    for width in (49, 224):  # 1 / 49 * 49 is not 1
        wide = noise(4, width) ** 2
        for pixels in range(-40, 41):
            columns = np.clip(np.arange(width) - pixels, 0, width - 1)
            assert np.array_equal(apply(wide, Parameters(shift=pixels / width)), wide[:, columns])


def test_a_shift_by_part_of_a_pixel_weighs_two_neighbours():
    shifted = apply(RAMP, Parameters(shift=0.25 * 0.25))  # a quarter of a pixel to the right
    np.testing.assert_allclose(shifted[0], [0.0, 0.075, 0.175, 0.275], atol=1e-7)


def test_rotation_is_anticlockwise_about_the_centre():
    np.testing.assert_allclose(apply(noise(9, 9), Parameters(rotation=90)), np.rot90(noise(9, 9)), atol=1e-6)
    np.testing.assert_allclose(apply(noise(8, 6), Parameters(rotation=180)), noise(8, 6)[::-1, ::-1], atol=1e-6)


def test_zoom_above_one_is_larger_and_about_the_centre():
    dot = np.zeros((5, 9), dtype=np.float32)
    dot[2, 6] = 1  # two columns right of the centre
    assert apply(dot, Parameters(zoom=2.0))[2, 8] == 1  # four columns right of it
    ramp = np.tile(np.linspace(0, 1, 9, dtype=np.float32), (5, 1))
    half = apply(ramp, Parameters(zoom=0.5))
    np.testing.assert_allclose(half[0], [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1], atol=1e-6)


def test_the_shift_moves_the_image_as_it_is_after_rotation_and_zoom():
    image = smooth()
    together = apply(image, Parameters(shift=4 / 41, zoom=0.5, rotation=30))
    one_by_one = apply(apply(image, Parameters(zoom=0.5, rotation=30)), Parameters(shift=4 / 41))
    np.testing.assert_allclose(together[:, 4:], one_by_one[:, 4:], atol=1e-6)


def test_a_channel_shift_stays_within_the_images_own_range():
    np.testing.assert_allclose(apply(RAMP, Parameters(channel_shift=0.25))[0], [0.25, 0.35, 0.45, 0.55], atol=1e-7)
    assert apply(RAMP, Parameters(channel_shift=0.25))[1].max() == RAMP.max()
    assert np.all(apply(RAMP, Parameters(channel_shift=-1)) == 0)


def test_brightness_stretches_multiplies_and_cuts_to_eight_bits():
    image = np.array([[51, 102, 153]], dtype=np.float32) / 255  # stretched: 0, 127.5, 255, cut to 0, 127, 255
    assert (apply(image, Parameters(brightness=1.0)) * 255).round(4).tolist() == [[0, 127, 255]]
    assert (apply(image, Parameters(brightness=0.5)) * 255).round(4).tolist() == [[0, 63, 127]]
    assert (apply(image, Parameters(brightness=1.5)) * 255).round(4).tolist() == [[0, 190, 255]]


def test_an_image_of_one_value_becomes_black_with_brightness_as_in_keras():
    assert not apply(np.full((3, 4), 0.4, dtype=np.float32), Parameters(brightness=1.1)).any()


def test_channel_shift_comes_before_brightness():
    # 0.2 clips the two brightest to one value; the stretch then sees a range of [0.2, 0.7], not [0, 0.7].
    image = np.array([[0.0, 0.5, 0.7]], dtype=np.float32)
    result = apply(image, Parameters(channel_shift=0.2, brightness=1.0))
    assert (result * 255).round(3).tolist() == [[0, 255, 255]]


# Against an oracle


@given(
    st.lists(st.integers(0, 255), min_size=2, max_size=40),
    st.floats(0.05, 3.0),
)
def test_brightness_equals_pillows_enhancer_on_the_stretched_image(levels: list[int], factor: float):
    image = np.array([levels], dtype=np.float32) / np.float32(255)
    stretched = np.array([levels], dtype=np.float32) - min(levels)
    if stretched.max() > 0:
        stretched = stretched / stretched.max() * np.float32(255)
    enhanced = ImageEnhance.Brightness(Image.fromarray(stretched.astype(np.uint8))).enhance(factor)
    ours = apply(image, Parameters(brightness=factor))
    assert np.array_equal(np.round(ours * 255).astype(int), np.asarray(enhanced).astype(int))


@pytest.mark.parametrize("shift", [0.013, -0.237, 0.5])
def test_a_shift_alone_is_scipys_affine_transform(shift: float):
    image = noise(20, 33)
    expected = ndimage.affine_transform(image, np.eye(2), offset=(0, -shift * 33), order=1, mode="nearest")
    np.testing.assert_allclose(apply(image, Parameters(shift=shift)), expected, atol=1e-6)


# Invariants


def test_the_default_parameters_return_the_same_values_in_a_new_array():
    image = noise()
    result = apply(image, Parameters())
    assert np.array_equal(result, image)
    assert not np.shares_memory(result, image)


@settings(max_examples=60)
@given(st.integers(0, 1000))
def test_two_flips_are_none(seed: int):
    image = noise(seed=seed)
    assert np.array_equal(apply(apply(image, Parameters(flip=True)), Parameters(flip=True)), image)


@settings(max_examples=80, deadline=None)
@given(parameters_strategy())
def test_an_augmented_image_is_float32_of_the_same_shape_in_0_1_and_replays(parameters: Parameters):
    image = noise()
    before = image.copy()
    result = apply(image, parameters)
    assert result.dtype == np.float32 and result.shape == image.shape and result.flags.c_contiguous
    assert result.min() >= 0 and result.max() <= 1
    assert np.array_equal(result, apply(image, parameters))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("parameters", [Parameters(shift=0.4), Parameters(zoom=0.3), Parameters(rotation=37)])
def test_outside_is_the_nearest_pixel_so_an_even_image_stays_even(parameters: Parameters):
    even = np.full((12, 15), 0.625, dtype=np.float32)
    np.testing.assert_allclose(apply(even, parameters), even, atol=1e-7)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_sampled_parameters_are_within_the_ranges_and_replay(seed: int):
    drawn = ALL_SIX.sample(generator(seed))
    assert abs(drawn.shift) <= 0.2 and abs(drawn.channel_shift) <= 0.3 and abs(drawn.rotation) <= 15
    assert 0.8 <= drawn.zoom <= 1.25 and drawn.brightness is not None and 0.5 <= drawn.brightness <= 1.2
    assert drawn == ALL_SIX.sample(generator(seed)) and hash(drawn) == hash(ALL_SIX.sample(generator(seed)))


@pytest.mark.parametrize("name", sorted(Augmentation.model_fields))
def test_turning_one_on_does_not_change_what_the_others_draw(name: str):
    drawn = {"horizontal_flip": "flip", "width_shift": "shift"}.get(name, name)
    alone = Augmentation.model_validate({name: getattr(ALL_SIX, name)})
    rng, rng_alone = generator(1), generator(1)
    for _ in range(5):  # in step, draw after draw
        assert getattr(alone.sample(rng_alone), drawn) == getattr(ALL_SIX.sample(rng), drawn)


def test_half_of_the_images_are_flipped_and_a_range_is_uniform():
    rng = generator(7)
    drawn = [ALL_SIX.sample(rng) for _ in range(4000)]
    assert abs(np.mean([each.flip for each in drawn]) - 0.5) < 0.03
    assert abs(np.mean([each.brightness for each in drawn]) - 0.85) < 0.02
    assert np.std([each.rotation for each in drawn]) == pytest.approx(15 / np.sqrt(3), rel=0.05)


# The table


def test_nothing_is_done_unless_named():
    assert Augmentation().is_identity
    assert Augmentation(zoom=(1, 1)).is_identity
    assert Augmentation().sample(generator(0)) == Parameters()
    assert not Augmentation(brightness=(1, 1)).is_identity  # it stretches and quantises


def test_all_parameters_are_listed_where_they_are_few():
    assert Augmentation().variants == (Parameters(),)
    assert Augmentation(horizontal_flip=True).variants == (Parameters(), Parameters(flip=True))
    assert Augmentation(brightness=(0.9, 0.9)).variants == (Parameters(brightness=0.9),)
    assert ALL_SIX.variants is None
    for name in ("width_shift", "zoom", "brightness", "channel_shift", "rotation"):
        assert Augmentation.model_validate({name: getattr(ALL_SIX, name)}).variants is None


@given(st.integers(0, 1000))
def test_what_is_sampled_is_among_the_variants(seed: int):
    augmentation = Augmentation(horizontal_flip=True, zoom=(1.2, 1.2))
    assert augmentation.sample(generator(seed)) in (augmentation.variants or ())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"width_shift": 1}, "width_shift: needs a fraction of the width below 1.*Keras.*got 1"),
        ({"brightness": [1.2, 0.5]}, r"brightness: needs \[lowest, highest\]; got \[1.2, 0.5\]"),
        ({"brightness": [0, 0.5]}, "brightness.0: .*greater than 0; got 0"),
        ({"brightness": 0.5}, "brightness: .*got 0.5"),
        ({"zoom": [0.8]}, "zoom"),
        ({"rotation": -5}, "rotation: .*got -5"),
        ({"channel_shift": 20}, "channel_shift: .*less than or equal to 1; got 20"),
        ({"width_shift": float("nan")}, "width_shift"),
        ({"horizontal_flp": True}, "did you mean 'horizontal_flip'"),
    ],
)
def test_a_wrong_table_says_what_was_needed_and_what_came(table: dict, says: str):
    with pytest.raises(UserError, match=says):
        parse(Augmentation, table, "[augment]")
