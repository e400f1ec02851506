"""The bits that deep files use: by header, by values, by the cohort; one picture looks alike at every depth."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrlens.data.cache import build_cache
from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.depth import reason_against
from cxrlens.data.images import UnreadableImage, read_image, to_uint8
from cxrlens.data.listed import read_below
from cxrlens.data.steps import group_steps
from cxrlens.errors import UserError
from support.picture_files import chunk, png, saved

BITS, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 258, 262, 284, 339


def picture(seed: int = 0, side: int = 64, brightest: float = 0.9) -> np.ndarray:
    """A smooth picture in [0.05, brightest]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.random((6, 6)).astype(np.float32))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    unit = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return 0.05 + (brightest - 0.05) * unit


def at(bits: int, unit: np.ndarray | None = None) -> np.ndarray:
    """The picture as whole numbers of so many bits."""
    return np.rint((picture() if unit is None else unit) * (2**bits - 1)).astype(np.uint16)


def png16(values: np.ndarray, colour: int = 0, sbit: bytes = b"") -> bytes:
    """A 16-bit PNG of [H, W] or [H, W, channels]."""
    return png(values, 16, colour, chunk(b"sBIT", sbit) if sbit else b"")


def tiff(values: np.ndarray, order: str = "<", squeezed: bool = False, photometric: int | None = None, **tags) -> bytes:
    """A TIFF made by hand; `squeezed` is the Deflate of libtiff. Keywords `bits`, `kind` override its tags."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    bits = tags.get("bits", 8 * values.dtype.itemsize)
    kind = tags.get("kind", {"u": 1, "i": 2, "f": 3}[values.dtype.kind])
    raw = tags.get("raw", values.astype(values.dtype.newbyteorder(order)).tobytes())
    raw = zlib.compress(raw) if squeezed else raw
    shown = (2 if channels > 2 else 1) if photometric is None else photometric
    entries = [
        (256, 4, [width]), (257, 4, [height]), (BITS, 3, [bits] * channels), (259, 3, [8 if squeezed else 1]),
        (PHOTOMETRIC, 3, [shown]), (273, 4, [8]), (277, 3, [channels]), (278, 4, [height]), (279, 4, [len(raw)]),
        (PLANAR, 3, [1]), *([(338, 3, [2])] if channels == 4 else []), (SAMPLE_FORMAT, 3, [kind] * channels),
    ]  # fmt: skip
    place = 8 + len(raw) + len(raw) % 2
    far, later = place + 2 + 12 * len(entries) + 4, b""
    table = struct.pack(f"{order}H", len(entries))
    for tag, size, numbers in entries:
        packed = struct.pack(f"{order}{len(numbers)}{'H' if size == 3 else 'I'}", *numbers)
        if len(packed) > 4:
            cell = struct.pack(f"{order}I", far + len(later))
            later += packed
        else:
            cell = packed.ljust(4, b"\0")
        table += struct.pack(f"{order}HHI", tag, size, len(numbers)) + cell
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", place) + raw.ljust(place - 8, b"\0") + table + bytes(4) + later


@pytest.fixture
def put(tmp_path: Path):
    def write(data: bytes) -> Path:
        (tmp_path / "a").write_bytes(data)
        return tmp_path / "a"

    return write


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize(
    "written",
    [
        png16,
        tiff,
        lambda values: tiff(values, ">"),
        lambda values: tiff(values, squeezed=True),
        lambda values: tiff(values.astype(np.int32)),
        lambda values: tiff(values.astype(np.uint32)),
        lambda values: tiff(values.astype(np.float32)),
        lambda values: png16(np.stack([values] * 3, -1), 2),
        lambda values: png16(np.stack([values, np.full_like(values, 65535)], -1), 4),
        lambda values: png16(np.stack([values, np.full_like(values, values.max())], -1), 4),
        lambda values: tiff(np.stack([values] * 3, -1)),
        lambda values: tiff(np.stack([values] * 3, -1), ">"),
        lambda values: tiff(np.stack([values] * 3, -1), squeezed=True),
        lambda values: tiff(np.stack([*[values] * 3, np.full_like(values, 65535)], -1)),
    ],
    ids=[
        "PNG", "TIFF", "big-endian", "deflated", "int32", "uint32", "float", "RGB PNG", "opaque alpha", "raw alpha",
        "RGB TIFF", "big-endian RGB", "deflated RGB", "RGBA TIFF",
    ],
)  # fmt: skip
def test_one_picture_looks_alike_at_every_depth_and_in_every_file(put, bits, written):
    values = at(bits)
    values[0, 0] = 2**bits - 1  # an opaque raw alpha is the depth's highest value
    decoded = read_image(put(written(values)))
    assert np.abs(decoded.pixels[0] - values / (2**bits - 1)).max() < 1e-4
    assert decoded.facts["depth"] == decoded.facts["depth_alone"] == bits
    assert any(f"read as {bits} bits" in step for step in decoded.steps) == (bits < 16)


def test_signed_16_bits_have_15_for_what_is_positive(put):
    values = at(15).astype(np.int16)
    assert np.abs(read_image(put(tiff(values))).pixels[0] - values / 32767).max() < 1e-6


def test_a_tiff_of_12_bits_a_sample_is_taken_at_its_word_even_where_it_is_dark(put):
    values = at(12, picture(brightest=0.1))
    pairs = values.reshape(-1, 2).astype(int)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1)
    decoded = read_image(put(tiff(values, bits=12, raw=packed.astype(np.uint8).tobytes())))
    assert np.abs(decoded.pixels[0] - values / 4095).max() < 1e-6
    assert decoded.facts["depth"] == 12 and decoded.at_depth(16) is decoded


def test_sbit_is_believed_whether_the_values_are_raw_or_scaled_up_as_the_standard_wants(put):
    for bits in (11, 12):
        dark = at(bits, picture(brightest=0.2))
        decoded = read_image(put(png16(dark, sbit=bytes([bits]))))
        assert np.abs(decoded.pixels[0] - dark / (2**bits - 1)).max() < 1e-6 and decoded.at_depth(16) is decoded
        assert "sBIT" in decoded.steps[0]
    scaled = at(16)
    decoded = read_image(put(png16(scaled, sbit=bytes([12]))))
    assert np.abs(decoded.pixels[0] - scaled / 65535).max() < 1e-6
    colour = np.stack([at(12, picture(seed, brightest=0.2)) for seed in range(3)], -1)
    assert read_image(put(png16(colour, 2, bytes([12, 12, 12])))).facts["depth"] == 12


def test_jpeg_2000_says_its_depth(put):
    values = at(16)
    assert np.abs(read_image(put(saved(Image.fromarray(values), "JPEG2000"))).pixels[0] - values / 65535).max() < 1e-6
    raw = at(12)
    assert np.abs(read_image(put(saved(Image.fromarray(raw), "JPEG2000"))).pixels[0] - raw / 4095).max() < 1e-6


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.04])
def test_a_bright_letter_decides_nothing_and_is_clipped_to_white_aloud(put, share):
    values = at(12)
    values.flat[: int(share * values.size)] = 65535
    decoded = read_image(put(png16(values)))
    assert decoded.facts["depth"] == 12
    assert np.allclose(decoded.pixels[0], np.minimum(values / 4095, 1), atol=1e-6)
    assert any("above 4095 clipped" in step for step in decoded.steps)


def test_a_mostly_black_image_with_a_small_lung_is_read_by_its_lung(put):
    values = np.zeros((100, 100), np.uint16)
    values[:10, :10] = at(12, picture(side=10))
    assert read_image(put(png16(values))).facts["depth"] == 12


def test_whole_numbers_of_more_than_16_bits_have_no_known_scale_unless_they_fill_it(put):
    unit = picture()
    full = np.rint(unit * (2**32 - 1)).astype(np.uint32)
    assert (full > 2**31).any()
    decoded = read_image(put(tiff(full)))
    assert np.abs(decoded.pixels[0] - unit).max() < 1e-6
    half = np.rint(unit * (2**31 - 1)).astype(np.int32)
    assert np.abs(read_image(put(tiff(half))).pixels[0] - unit).max() < 1e-6
    some = (100_000 + 800_000 * unit).astype(np.uint32)
    decoded = read_image(put(tiff(some)))
    assert (
        decoded.pixels.min() == 0
        and decoded.pixels.max() == 1
        and "values on no known scale, darkest shown black" in decoded.steps[0]
    )
    signed = np.rint(4000 * unit - 2000).astype(np.int16)
    decoded = read_image(put(tiff(signed)))
    assert np.corrcoef(decoded.pixels[0].ravel(), unit.ravel())[0, 1] > 0.9999 and decoded.pixels.max() == 1


def test_floats_from_0_to_1_are_taken_so_and_a_letter_does_not_stretch_others(put):
    unit = picture().astype(np.float32)
    assert np.abs(read_image(put(tiff(unit))).pixels[0] - unit).max() < 1e-6
    density = 0.5 + 2 * unit
    density[:3, :3] = 1e6
    decoded = read_image(put(tiff(density)))
    assert np.abs(decoded.pixels[0, 5:] - (unit[5:] - unit.min()) / (unit.max() - unit.min())).max() < 0.02
    assert "clipped" in decoded.steps[1]


def test_tiffs_that_pillow_takes_for_others_are_refused_with_what_to_do(put):
    planes = tiff(np.stack([at(12)] * 3, -1)).replace(
        struct.pack("<HHIH", PLANAR, 3, 1, 1), struct.pack("<HHIH", PLANAR, 3, 1, 2)
    )
    unknown = tiff(at(12).astype(np.int16), photometric=0)
    for data, why in ((planes, "separate planes"), (unknown, "a TIFF of a kind that is not read")):
        with pytest.raises(UnreadableImage, match=why):
            read_image(put(data))


@pytest.mark.parametrize("values", [at(12), picture().astype(np.float32), (picture() * 7 - 2).astype(np.float32)])
def test_where_white_is_zero_every_kind_of_tiff_is_inverted(put, values):
    plain, inverted = (read_image(put(tiff(values, photometric=zero))) for zero in (1, 0))
    assert np.allclose(inverted.pixels, 1 - plain.pixels, atol=1e-6) and "white-is-zero inverted" in inverted.steps


def test_a_letter_far_above_a_12_bit_dicom_picture_does_not_blacken_it(shared):
    letter = read_image(shared / "cases/01-png16/marker.dcm")
    assert len(np.unique(to_uint8(letter.pixels, 64))) > 200


def cohort_of(folder: Path, files: dict[str, bytes]) -> Cohort:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    table = cohort_table(pd.DataFrame({"image": [*files], "path": [*files]}))
    return Cohort("test", table, partial(read_below, folder), data_dir=folder)


@pytest.fixture
def mixed(tmp_path: Path) -> Cohort:
    """Mostly of 12 bits; a dark one, one with a letter, one over all 16 bits, one of 8 bits in 16, one of 8 bits."""
    lettered = at(12)
    lettered[:2] = 60_000
    files = {
        "dark.png": png16(at(12, picture(brightest=0.2))),
        "full.png": png16(at(16)),
        **{f"{seed}.png": png16(at(12, picture(seed))) for seed in range(3)},
        "letter.tif": tiff(lettered),
        "int.tif": tiff(at(12, picture(7)).astype(np.int32)),
        "eight in sixteen.png": png16(at(8)),
        "eight.png": saved(Image.fromarray(at(8).astype(np.uint8)), "PNG"),
        "again.png": png16(at(12, picture(8))),
    }
    return cohort_of(tmp_path / "mixed", files)


def test_most_files_of_a_cohort_decide_for_the_odd_ones_and_this_is_said(mixed, tmp_path):
    cache = build_cache(mixed, 64, folder=tmp_path / "cache")
    assert cache.depth == 12
    facts = cache.facts.set_index("image")
    rows = {image: cache.pixels[row].astype(float) for image, row in cache.index.items()}
    assert facts["depth_alone"].dropna().to_dict()["dark.png"] == 10 and facts.loc["dark.png", "depth"] == 12
    assert np.abs(rows["dark.png"] - 255 * picture(brightest=0.2)).max() <= 1.01
    assert "read as 12 bits, as most of the cohort is (by its own values: 10 bits)" in facts.loc["dark.png", "steps"]
    assert facts.loc["letter.tif", "depth"] == 12 and facts.loc["letter.tif", "depth_alone"] == 16
    assert "clipped" in facts.loc["letter.tif", "steps"]
    for image in ("full.png", "eight in sixteen.png", "eight.png"):  # no file of 12 bits can be so
        assert np.abs(rows[image] - 255 * picture()).max() <= 1.01, image
    assert "read as 16 bits, not as the 12 bits of most of the cohort (100% of" in facts.loc["full.png", "steps"]
    assert pd.isna(facts.loc["eight.png", "depth"])
    odd = [group for group in group_steps(cache.facts["image"], cache.facts["steps"]) if group.warning]
    assert sum(len(group.images) for group in odd) == 4


def test_the_cohorts_depth_does_not_depend_on_threads_size_order_or_whether_the_cache_was_there(mixed, tmp_path):
    one = build_cache(mixed, 64, folder=tmp_path / "one", workers=1)
    again = build_cache(mixed, 64, folder=tmp_path / "one")
    many = build_cache(mixed, 64, folder=tmp_path / "many", workers=8)
    for other in (again, many):
        assert np.array_equal(one.pixels, other.pixels) and one.facts.equals(other.facts) and other.depth == 12
    small = build_cache(mixed, 32, folder=tmp_path / "one")
    assert small.facts["depth"].equals(one.facts["depth"]) and small.facts["steps"].equals(one.facts["steps"])
    backwards = Cohort("test", mixed.table.iloc[::-1].reset_index(drop=True), mixed.read, data_dir=mixed.data_dir)
    turned = build_cache(backwards, 64, folder=tmp_path / "one")
    assert all(np.array_equal(turned.batch([image]), one.batch([image])) for image in one.index)


def test_a_cohort_without_a_majority_reads_each_by_its_own(tmp_path):
    files = {"a.png": png16(at(10)), "b.png": png16(at(12)), "c.png": png16(at(14)), "d.png": png16(at(12))}
    cache = build_cache(cohort_of(tmp_path / "x", files), 64, folder=tmp_path / "cache")
    assert cache.depth is None and cache.facts["depth"].tolist() == [10, 12, 14, 12]


def test_a_given_depth_has_its_own_cache(tmp_path):
    cohort = cohort_of(tmp_path / "x", {"a.png": png16(at(12, picture(brightest=0.2)))})
    alone, given = (build_cache(cohort, 64, folder=tmp_path / "cache", depth=depth) for depth in (None, 12))
    assert alone.facts["depth"].tolist() == [10] and given.facts["depth"].tolist() == [12]
    assert alone.pixels.max() > 3 * given.pixels.max()
    reopened = build_cache(cohort, 64, folder=tmp_path / "cache", depth=12)
    assert np.array_equal(reopened.pixels, given.pixels)


def test_read_image_takes_a_depth_and_checks_what_comes_out(put):
    dark = put(png16(at(12, picture(brightest=0.2))))
    assert read_image(dark).pixels.max() > 0.75 and read_image(dark, 12).pixels.max() < 0.21
    assert read_image(dark, 12).sha256 == read_image(dark).sha256 and read_image(dark, 12).facts["bytes"] > 0
    flat = put(png16(np.full((64, 64), 300)))
    with pytest.raises(UnreadableImage, match="same value"):
        read_image(flat, 12)


def test_every_picture_of_the_case_is_the_same(shared):
    folder = shared / "cases/01-png16"
    whole = read_image(folder / "full.png").pixels
    for name in ("10bit.png", "12bit.png", "12bit.tif", "12bit_I.tif"):
        assert np.abs(read_image(folder / name).pixels - whole).max() < 1e-3, name
    assert read_image(folder / "marker.tif").facts["depth"] == 12


@pytest.mark.parametrize(("own", "others"), [(10, 12), (12, 14), (14, 16), (10, 14)])
def test_a_picture_that_fills_a_smaller_depth_looks_the_same_among_deeper_ones(put, own, others):
    whole, dark = picture(brightest=0.95), picture(brightest=0.7)
    decoded = read_image(put(png16(at(own, whole))), others)
    assert np.abs(decoded.pixels[0] - whole).max() < 0.003 and decoded.facts["depth"] == own
    assert f"not as the {others} bits of most of the cohort (its values fill {own} bits" in decoded.steps[0]
    if others - own == 2:  # it may be a dark one of their depth
        assert read_image(put(png16(at(own, dark))), others).facts["depth"] == others


def test_two_steps_below_the_others_is_a_black_image_and_one_step_is_a_dark_one():
    assert reason_against(12, np.full(100, 256), 256) is None
    assert reason_against(12, np.full(100, 200), 200) == "nearly all of its pixels lie below 256 of 4095"


def test_a_file_that_changes_before_it_is_read_at_the_cohorts_depth_is_an_error(mixed, tmp_path):
    reads = Counter[str]()

    def once(path: str) -> Decoded:
        reads[path] += 1
        if reads[path] > 1:
            raise UnreadableImage("gone")
        return mixed.read(path)

    with pytest.raises(UserError, match=r"dark\.png changed while it was read \(gone\); start again"):
        build_cache(replace(mixed, read=once), 64, folder=tmp_path / "cache", workers=1)
