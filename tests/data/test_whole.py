"""Files that hold a part of their rows are refused, whole ones with dark or grey edges are not."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from cxrlens.data.images import read_image
from cxrlens.data.truncation import check_png_rows
from cxrlens.data.unreadable import UnreadableImage
from support.dicom_files import write_dicom
from support.picture_files import GREY, RGB, interlaced, png, png_of, saved

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(20, 230, (128, 96), dtype=np.uint8)


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def jpeg(pixels: np.ndarray, **options) -> bytes:
    return saved(Image.fromarray(pixels), "JPEG", **options)


@pytest.mark.parametrize("colour", [False, True])
def test_a_jpeg_cut_in_half_with_a_new_end_mark_is_refused(tmp_path: Path, colour: bool) -> None:
    whole = jpeg(np.stack([PICTURE] * 3, -1) if colour else PICTURE, quality=90)
    start = whole.index(b"\xff\xda")
    cut = whole[: start + (len(whole) - start) // 2] + b"\xff\xd9"
    with pytest.raises(UnreadableImage, match=r"truncated JPEG: the last \d+ of 128 rows hold no data"):
        read_image(put(tmp_path / "cut.jpg", cut))
    assert read_image(put(tmp_path / "whole.jpg", whole)).pixels.shape == (1, 128, 96)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_a_png_whose_stream_ends_early_is_refused(tmp_path: Path, bits: int, colour: bool) -> None:
    pixels = (np.stack([PICTURE] * 3, -1) if colour else PICTURE).astype(np.uint16) * (257 if bits == 16 else 1)
    kind = RGB if colour else GREY
    with pytest.raises(UnreadableImage, match="truncated PNG: it holds 50% of its pixels"):
        read_image(put(tmp_path / "cut.png", png(pixels, bits, kind, rows=64, pieces=3)))
    assert read_image(put(tmp_path / "whole.png", png(pixels, bits, kind, pieces=3))).pixels.shape == (1, 128, 96)


def test_an_interlaced_png_is_counted_by_its_passes(tmp_path: Path) -> None:
    whole = interlaced(PICTURE)
    assert np.array_equal(np.rint(read_image(put(tmp_path / "whole.png", whole)).pixels[0] * 255), PICTURE)
    with pytest.raises(UnreadableImage, match="truncated"):
        read_image(put(tmp_path / "cut.png", interlaced(PICTURE, 0.8)))
    with pytest.raises(UnreadableImage, match="it holds 55% of its pixels"):  # one that the decoder itself takes
        read_image(put(tmp_path / "cut.png", interlaced(PICTURE[:121, :89], 0.55)))  # its last row is there


def test_a_jpeg_cut_in_half_is_refused_in_a_dicom_too(tmp_path: Path) -> None:
    whole = jpeg(PICTURE, quality=90)
    start = whole.index(b"\xff\xda")
    cut = whole[: start + (len(whole) - start) // 2] + b"\xff\xd9"
    for name, frame in (("whole", whole), ("cut", cut)):
        pixels = encapsulate([frame])
        write_dicom(tmp_path / name, syntax=JPEGBaseline8Bit, Rows=128, Columns=96, PixelData=pixels)
    assert read_image(tmp_path / "whole").pixels.shape == (1, 128, 96)
    with pytest.raises(UnreadableImage, match=r"truncated JPEG: the last \d+ of 128 rows hold no data"):
        read_image(tmp_path / "cut")


def test_black_and_grey_borders_are_part_of_a_whole_image(tmp_path: Path) -> None:
    black, grey = PICTURE.copy(), PICTURE.copy()
    black[-40:] = 0
    grey[-7:] = 128
    Image.fromarray(black).save(tmp_path / "black.png")
    assert read_image(tmp_path / "black.png").steps == ()
    assert read_image(put(tmp_path / "black.jpg", jpeg(black))).pixels.shape == (1, 128, 96)
    assert read_image(put(tmp_path / "grey.jpg", jpeg(grey, quality=100))).pixels.shape == (1, 128, 96)


def test_what_follows_the_last_row_of_a_png_is_not_unpacked() -> None:
    bomb = png_of(64, 64, zlib.compress(bytes(2**26)))
    tracemalloc.start()
    try:
        check_png_rows(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**23
