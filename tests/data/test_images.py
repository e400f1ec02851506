"""Reading photographs: by content, one defined way to grey, and a reason for every refusal."""

from __future__ import annotations

import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cxrlens.data.images import INTERPOLATIONS, UnreadableImage, read_image, to_uint8
from cxrlens.errors import UserError
from support.picture_files import GREY, GREY_ALPHA, RGB, RGBA, chunk, png, png_of, saved


@pytest.fixture
def put(tmp_path: Path):
    def write(data: bytes, name: str = "a.png") -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.fixture
def grey() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert str(path.parent) not in caught.value.reason and "object at 0x" not in str(caught.value)
    assert str(caught.value) == f"{path.name}: {caught.value.reason}"
    return caught.value.reason


def test_an_8_bit_png_is_its_levels_over_255_with_its_facts(put, grey):
    data = png(grey[..., None], 8, GREY)
    decoded = read_image(put(data))
    assert decoded.pixels.dtype == np.float32 and decoded.pixels.shape == (1, 70, 90)
    assert np.array_equal(decoded.pixels[0], grey / np.float32(255))
    facts = {"width": 90, "height": 70, "mode": "L", "format": "PNG", "bits": 8, "bytes": len(data)}
    assert decoded.facts == facts and decoded.steps == () and len(decoded.sha256) == 64


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "BMP", "WEBP"])
def test_the_content_says_the_format_and_the_name_does_not(put, grey, kind):
    assert read_image(put(saved(Image.fromarray(grey), kind), "x.PNG ")).facts["format"] == kind


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), colour=st.sampled_from([GREY, RGB, GREY_ALPHA, RGBA]))
def test_16_bit_pngs_keep_all_16_bits(put, seed, colour):
    channels = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGBA: 4}[colour]
    values = np.random.default_rng(seed).integers(0, 65536, (17, 19, channels))
    decoded = read_image(put(png(values, 16, colour)))
    unit = values / 65535
    expected = unit[..., :3] @ [0.299, 0.587, 0.114] if channels > 2 else unit[..., 0]
    expected = expected * (unit[..., -1] if channels in (2, 4) else 1)
    assert np.abs(decoded.pixels[0] - expected).max() < 1e-6 and decoded.facts["bits"] == 16


def test_a_16_bit_png_whose_high_bits_are_unused_is_scaled_by_those_in_use_and_told(put):
    values = np.arange(4096).reshape(64, 64, 1)
    decoded = read_image(put(png(values, 16, GREY)))
    assert decoded.steps == ("16-bit file read as 12 bits (largest value 4095)",)
    assert np.allclose(decoded.pixels[0], values[..., 0] / 4095)


def test_a_declared_transparent_grey_is_black_at_both_depths(put, grey):
    clear = chunk(b"tRNS", struct.pack(">H", int(grey[0, 0])))
    for bits in (8, 16):
        decoded = read_image(put(png(grey[..., None], bits, GREY, clear)))
        assert decoded.pixels[0, 0, 0] == 0 and "alpha over black" in decoded.steps


def test_alpha_is_laid_over_black(put):
    white = np.full((64, 64), 200, np.uint8)
    half = np.where(np.arange(64) < 32, 255, 51).astype(np.uint8) * np.ones((64, 1), np.uint8)
    for planes, colour in (((white, half), GREY_ALPHA), ((white, white, white, half), RGBA)):
        decoded = read_image(put(png(np.stack(planes, -1), 8, colour)))
        assert (
            np.allclose(decoded.pixels[0, 0, [0, 63]] * 255, [200, 40], atol=1) and "alpha over black" in decoded.steps
        )


def test_opaque_alpha_changes_nothing(put, grey):
    opaque = np.stack([grey, np.full_like(grey, 255)], -1)
    decoded = read_image(put(png(opaque, 8, GREY_ALPHA)))
    assert np.array_equal(decoded.pixels[0], grey / np.float32(255)) and decoded.steps == ()


def test_palette_cmyk_and_1_bit_have_one_conversion(put, grey):
    palette = Image.fromarray(np.where(grey > 127, 1, 0).astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 255, 255, 255])
    for image, kind in (
        (palette, "PNG"),
        (Image.fromarray(grey > 127), "PNG"),
        (Image.fromarray(np.where(grey > 127, 255, 0).astype(np.uint8)).convert("RGB").convert("CMYK"), "TIFF"),
    ):
        decoded = read_image(put(saved(image, kind)))
        assert np.array_equal(decoded.pixels[0], grey > 127), image.mode
        assert decoded.steps[0] == f"{'1-bit' if image.mode == '1' else image.mode} to grey"
        assert [step.partition(":")[0] for step in decoded.steps[1:]] == ["warning"], "it looks like a mask"


def test_a_transparent_palette_entry_is_black(put, grey):
    palette = Image.fromarray((grey > 127).astype(np.uint8), "P")
    palette.putpalette([100, 100, 100, 255, 255, 255])
    decoded = read_image(put(saved(palette, "PNG", transparency=1)))
    assert np.allclose(decoded.pixels[0] * 255, np.where(grey > 127, 0, 100))


def test_colour_goes_to_grey_as_in_pillow(put):
    colour = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    decoded = read_image(put(saved(colour, "PNG")))
    assert np.array_equal(np.rint(decoded.pixels[0] * 255), np.asarray(colour.convert("L")))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_rotation_is_applied_as_pillow_does_and_recorded(put, grey, turn, kind):
    exif = Image.Exif()
    exif[0x0112] = turn
    decoded = read_image(put(saved(Image.fromarray(grey), kind, exif=exif)))
    with Image.open(io.BytesIO(saved(Image.fromarray(grey), "PNG", exif=exif))) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(np.rint(decoded.pixels[0] * 255), expected)
    assert decoded.steps == ((f"EXIF rotation {turn} applied",) if turn > 1 else ())


def test_a_16_bit_tiff_where_white_is_zero_is_inverted(put):
    values = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    decoded = read_image(put(saved(Image.fromarray(values), "TIFF", tiffinfo={262: 0})))
    assert np.allclose(decoded.pixels[0], 1 - values / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "an HTML page"),
        (b"\n <HTML>", "an HTML page"),
        (b"%PDF-1.7", "a PDF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89PNG\r\n\x1a\n", "PNG with a damaged header"),
        (b"hello", "no image format"),
    ],
)
def test_what_is_no_image_is_refused_with_what_it_is(put, data, why):
    assert why in refusal(put(data))


def test_absent_files_and_folders_are_refused(tmp_path):
    assert refusal(tmp_path / "no.png") == "No such file or directory"
    assert refusal(tmp_path) == "Is a directory"


@pytest.mark.parametrize("side", [9000, 60000])
def test_a_decompression_bomb_is_refused_from_its_header(put, side):
    data = png_of(side, side, b"")
    assert "decompression bomb" in refusal(put(data)) or "the header says" in refusal(put(data))


def test_constant_and_nan_images_are_refused(put):
    assert "same value" in refusal(put(png(np.full((64, 64, 1), 7), 8, GREY)))
    values = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    values[3, 3] = np.nan
    assert "NaN" in refusal(put(saved(Image.fromarray(values), "TIFF")))


def test_small_or_long_images_are_told_and_tiny_ones_refused(put):
    ramp = np.arange(10_000).astype(np.uint8)
    assert "only 50 x 40" in read_image(put(png(ramp[:2000].reshape(40, 50, 1), 8, GREY))).steps[0]
    assert "no shape of a chest" in read_image(put(png(ramp[:8000].reshape(400, 20, 1), 8, GREY))).steps[1]
    assert "at least 16" in refusal(put(png(ramp[:150].reshape(10, 15, 1), 8, GREY)))


def test_several_pictures_in_a_file_are_refused(put, grey):
    pages = [Image.fromarray(grey), Image.fromarray(255 - grey)]
    assert "2 pictures" in refusal(put(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 0.999), kind=st.sampled_from(["PNG", "JPEG", "progressive"]))
def test_a_truncated_file_is_refused_or_whole(put, part, kind):
    smooth = Image.fromarray(np.outer(np.arange(80), np.arange(90)).astype(np.uint8))
    data = saved(smooth, "PNG") if kind == "PNG" else saved(smooth, "JPEG", progressive=kind == "progressive")
    whole = read_image(put(data)).pixels
    try:
        decoded = read_image(put(data[: int(len(data) * part)]))
    except UnreadableImage:
        return
    assert kind != "PNG" and np.array_equal(decoded.pixels, whole)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_never_raise_anything_else(put, data):
    image = Image.fromarray(np.outer(np.arange(64), np.arange(64)).astype(np.uint8))
    whole = bytearray(saved(image, data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "GIF"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = read_image(put(bytes(whole)))
    except UnreadableImage:
        return
    assert np.isfinite(decoded.pixels).all() and 0 <= decoded.pixels.min() < decoded.pixels.max() <= 1


def test_a_warning_becomes_a_step_in_its_own_image_even_in_threads(put, grey):
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"  # a directory that says more entries than there are
    odd = put(saved(Image.fromarray(grey), "JPEG", exif=exif), "odd.jpg")
    good = put(saved(Image.fromarray(grey), "JPEG"), "good.jpg")
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(read_image, [odd, good] * 20))
    assert {decoded.steps for decoded in read[1::2]} == {()}
    assert all(decoded.steps[0].startswith("warning: ") for decoded in read[::2])
    assert warnings.filters == before


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_resizing_8_bits_is_pillows_resize_to_the_last_bit(grey, interpolation):
    for size in (17, 64, 224):
        expected = Image.fromarray(grey).resize((size, size), INTERPOLATIONS[interpolation])
        assert np.array_equal(to_uint8(grey[None] / np.float32(255), size, interpolation), np.asarray(expected))


def test_resizing_other_numbers_rounds_once(grey):
    pixels = grey[None].astype(np.float32) / 255
    resized = to_uint8(pixels * 0.501 + 0.1, 32, "bicubic")
    assert resized.dtype == np.uint8 and resized.shape == (32, 32)
    assert np.abs(resized - (to_uint8(pixels, 32).astype(float) * 0.501 + 25.5)).max() <= 1.5


def test_a_misspelt_interpolation_is_answered_with_the_nearest(grey):
    with pytest.raises(UserError, match="did you mean 'bicubic'"):
        to_uint8(grey[None] / 255, 32, "bicubc")
    with pytest.raises(UserError, match="at least 1"):
        to_uint8(grey[None] / 255, 0)


def test_every_image_of_the_papers_cohort_is_read(shared):
    files = sorted((shared / "data/covid-chestxray-2020-05-04/images").iterdir())
    with ThreadPoolExecutor(2) as pool:
        read = list(pool.map(read_image, files))
    assert len(read) == 312 and sum(decoded.facts["mode"] == "RGBA" for decoded in read) == 37
    assert not [step for decoded in read for step in decoded.steps if step.startswith("warning")]


def test_the_later_snapshots_oddities_are_read(shared):
    folder = shared / "data/covid-chestxray-2020-08/images"
    inside = [file for file in sorted(folder.glob("*.jpg")) if file.read_bytes()[:4] == b"\x89PNG"]
    assert len(inside) == 13
    assert {read_image(file).facts["format"] for file in inside} == {"PNG"}


def test_an_image_that_looks_like_a_mask_is_warned_of(put):
    rows, columns = np.mgrid[:300, :200]
    mask = ((rows - 150) ** 2 + (columns - 100) ** 2 < 4000).astype(np.uint8)
    for levels, kind in ((mask * 255, "PNG"), (mask * 255, "JPEG"), (mask * 2 + (rows > 200), "PNG"), (mask, "PNG")):
        steps = read_image(put(saved(Image.fromarray(levels.astype(np.uint8)), kind))).steps
        assert [step for step in steps if "mask rather than an X-ray" in step and step.startswith("warning:")], kind


def test_a_flat_or_coarse_x_ray_is_no_mask(put):
    rows, columns = np.mgrid[:300, :200]
    flat = 120 + 9 * np.sin(rows / 40) * np.cos(columns / 30)
    framed = np.where((rows < 40) | (columns < 30), 0, np.where(rows > 260, 255, flat))
    coarse = np.round(flat) // 2 * 2
    for levels in (flat, framed, coarse):
        steps = read_image(put(saved(Image.fromarray(levels.astype(np.uint8)), "PNG"))).steps
        assert not any("mask" in step for step in steps)


@pytest.mark.parametrize(("low", "high", "warned"), [(0, 25, True), (235, 255, True), (100, 160, False)])
def test_an_image_without_contrast_is_told(tmp_path: Path, low: int, high: int, warned: bool) -> None:
    values = np.random.default_rng(0).integers(low, high, (80, 80), dtype=np.uint8)
    values[:1, :1] = 255 - values[:1, :1]  # one pixel decides nothing
    Image.fromarray(values).save(tmp_path / "a.png")
    assert any("hardly any contrast" in step for step in read_image(tmp_path / "a.png").steps) == warned


@pytest.mark.parametrize(
    ("marker", "bits", "message"),
    [(0xC1, 12, "a JPEG of 12 bits"), (0xF7, 8, "a JPEG-LS"), (0xC0, 16, "JPEG of 16 bits")],
)
def test_a_jpeg_of_another_kind_is_not_called_damaged(tmp_path: Path, marker: int, bits: int, message: str) -> None:
    stream = io.BytesIO()
    Image.effect_noise((70, 70), 40).save(stream, "jpeg")
    data = bytearray(stream.getvalue())
    frame = data.find(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(UnreadableImage, match=message):
        read_image(tmp_path / "a.jpg")
