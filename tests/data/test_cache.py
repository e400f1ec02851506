"""The cache: the same pixels as reading anew, found again, rebuilt when damaged, never half."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrlens.data.cache import ImageCache, build_cache, default_folder
from cxrlens.data.cohort import Cohort, Decoded, cohort_table
from cxrlens.data.images import UnreadableImage, read_image, to_uint8
from cxrlens.errors import UserError


def read_below(root: Path, path: str) -> Decoded:
    return read_image(root / path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Five listed images: three good, one that is HTML, one known to be missing."""
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (70, 90), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "page.png").write_bytes(b"<html>")
    names = ["a.png", "page.png", "b.png", "gone.png", "c.png"]
    table = cohort_table(pd.DataFrame({"image": names, "path": [str(tmp_path / name) for name in names]}))
    return Cohort("test", table, lambda path: read_image(Path(path)), {"gone.png": "no such file"})


def drawn(scale: float, calls: list[str] | None = None) -> Cohort:
    """A cohort without files: its cells are recipes."""

    def draw(path: str) -> Decoded:
        if calls is not None:
            calls.append(path)
        values = np.random.default_rng(int(path)).integers(0, 256, (1, 64, 64))
        return Decoded((values * np.float32(scale / 255)).astype(np.float32), {"site": "x"})

    return Cohort("drawn", cohort_table(pd.DataFrame({"image": ["i1", "i2", "i3"], "path": ["1", "2", "3"]})), draw)


def pixels_of(cache: ImageCache) -> np.ndarray:
    return np.array(cache.pixels)


def test_rows_are_the_readable_images_resized_and_the_others_have_a_reason(cohort, folder, tmp_path):
    cache = build_cache(cohort, 32, folder=folder)
    assert cache.index == {"a.png": 0, "b.png": 1, "c.png": 2} and cache.pixels.shape == (3, 32, 32)
    for image, row in cache.index.items():
        assert np.array_equal(cache.pixels[row], to_uint8(read_image(tmp_path / image).pixels, 32))
    assert cache.missing == {"page.png": "an HTML page, not an image", "gone.png": "no such file"}
    assert cache.facts["image"].tolist() == ["a.png", "b.png", "c.png"] and set(cache.facts["width"]) == {90}
    assert (cache.facts["sha256"].str.len() == 64).all() and set(cache.facts["steps"]) == {""}
    assert isinstance(cache.pixels, np.memmap) and not cache.pixels.flags.writeable


def test_a_batch_is_in_the_order_asked_for_and_a_copy(cohort, folder):
    cache = build_cache(cohort, 16, folder=folder)
    batch = cache.batch(["c.png", "a.png", "c.png"])
    assert np.array_equal(batch, cache.pixels[[2, 0, 2]]) and type(batch) is np.ndarray and batch.flags.writeable
    with pytest.raises(UserError, match=r"unknown image 'd\.png'"):
        cache.batch(["d.png"])
    with pytest.raises(UserError, match=r"page\.png cannot be read: an HTML page"):
        cache.batch(["page.png"])


def test_a_second_call_decodes_nothing_but_what_was_unreadable(cohort, folder):
    read: list[str] = []

    def listening(path: str) -> Decoded:
        read.append(path)
        return cohort.read(path)

    listening_cohort = Cohort("test", cohort.table, listening, cohort.missing)
    first = build_cache(listening_cohort, 16, folder=folder)
    read.clear()
    second = build_cache(listening_cohort, 16, folder=folder)
    assert [Path(path).name for path in read] == ["page.png"]
    assert np.array_equal(first.pixels, second.pixels) and second.missing == first.missing
    pd.testing.assert_frame_equal(first.facts, second.facts)


def test_size_interpolation_and_changed_files_each_have_their_own_cache(cohort, folder, tmp_path):
    def caches() -> int:
        return len(list(folder.glob("*/cache.json")))

    before = pixels_of(build_cache(cohort, 16, folder=folder))
    build_cache(cohort, 17, folder=folder)
    build_cache(cohort, 16, "nearest", folder=folder)
    assert caches() == 3
    Image.fromarray(np.random.default_rng(9).integers(0, 256, (70, 90), dtype=np.uint8)).save(tmp_path / "a.png")
    os.utime(tmp_path / "a.png", ns=(1, 1))
    after = build_cache(cohort, 16, folder=folder)
    assert caches() == 4
    assert not np.array_equal(before[0], after.pixels[0]) and np.array_equal(before[1:], after.pixels[1:])


def test_relative_cells_under_two_roots_are_two_caches(tmp_path, folder):
    table = cohort_table(pd.DataFrame({"image": ["a.png"], "path": ["a.png"]}))
    caches = []
    for seed, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        values = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / name / "a.png")
        os.utime(tmp_path / name / "a.png", ns=(1, 1))
        caches.append(
            build_cache(
                Cohort("t", table, partial(read_below, tmp_path / name), data_dir=tmp_path / name), 64, folder=folder
            )
        )
        assert np.array_equal(caches[-1].pixels[0], values)
    Image.fromarray(255 - values).save(tmp_path / "two/a.png")
    again = build_cache(
        Cohort("t", table, partial(read_below, tmp_path / "two"), data_dir=tmp_path / "two"), 64, folder=folder
    )
    assert np.array_equal(again.pixels[0], 255 - values)


def test_a_source_without_files_is_checked_by_drawing_again(folder):
    full = pixels_of(build_cache(drawn(1.0), 64, folder=folder))
    calls: list[str] = []
    build_cache(drawn(1.0, calls), 64, folder=folder)
    assert sorted(calls) == ["1", "3"]
    half = build_cache(drawn(0.5), 64, folder=folder)
    assert half.pixels.max() <= 128 < full.max() and half.facts["site"].tolist() == ["x"] * 3


@pytest.mark.parametrize("fault", ["cut", "flipped", "no pixels", "no table", "bad table", "other table"])
def test_a_damaged_cache_is_built_anew(cohort, folder, fault):
    good = pixels_of(build_cache(cohort, 16, folder=folder))
    (table,) = folder.glob("*/cache.json")
    raw = table.with_name("pixels.u8")
    data = raw.read_bytes()
    if fault == "cut":
        raw.write_bytes(data[:-1])
    elif fault == "flipped":
        raw.write_bytes(data[:9] + bytes([data[9] ^ 1]) + data[10:])
    elif fault == "no pixels":
        raw.unlink()
    elif fault == "no table":
        table.unlink()
    elif fault == "bad table":
        table.write_text(table.read_text()[:-20])
    else:
        table.write_text(json.dumps([1, 2]))
    assert np.array_equal(build_cache(cohort, 16, folder=folder).pixels, good)


def test_what_a_killed_process_left_is_cleared_away(cohort, folder):
    build_cache(cohort, 16, folder=folder)
    (place,) = (path for path in folder.iterdir() if path.is_dir())
    place.rename(place.with_name(f"{place.name}.part-x"))
    build_cache(cohort, 16, folder=folder)
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [place.name]


def test_an_image_that_became_readable_is_taken_in(cohort, folder):
    shut = True

    def read(path: str) -> Decoded:
        if shut and path.endswith("b.png"):
            raise UnreadableImage("needs a codec", "b.png")
        return cohort.read(path)

    opened = Cohort("test", cohort.table, read, cohort.missing)
    assert build_cache(opened, 16, folder=folder).missing["b.png"] == "needs a codec"
    shut = False
    assert list(build_cache(opened, 16, folder=folder).index) == ["a.png", "b.png", "c.png"]


def test_callers_at_once_build_once(folder):
    calls: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda _: build_cache(drawn(1.0, calls), 32, folder=folder), range(4)))
    assert all(np.array_equal(cache.pixels, built[0].pixels) for cache in built)
    assert calls.count("2") == 1  # the first and the last are drawn again as a check


def test_a_fault_of_the_reader_is_not_swallowed(cohort, folder):
    for fault in (ZeroDivisionError("ours"), OSError(5, "ours too")):

        def read(path: str, fault: Exception = fault) -> Decoded:
            raise fault

        with pytest.raises(type(fault), match="ours"):
            build_cache(Cohort("test", cohort.table, read), 16, folder=folder)
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_nothing_readable_is_an_error_with_a_reason(cohort, folder):
    only = Cohort("test", cohort.table.iloc[[1]], cohort.read)
    with pytest.raises(UserError, match=r"none of the 1 listed images can be read; page\.png: an HTML page"):
        build_cache(only, 16, folder=folder)


def test_a_full_disk_leaves_nothing_under_the_final_name(cohort, folder, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot keep decoded images .* No space left .* CXRLENS_CACHE"):
        build_cache(cohort, 16, folder=folder)
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_a_folder_that_cannot_be_written_is_a_clear_error(cohort, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot keep decoded images"):
        build_cache(cohort, 16, folder=tmp_path / "file" / "below")


def test_a_bad_size_or_interpolation_stops_before_anything_is_read(cohort, folder):
    with pytest.raises(UserError, match="unknown interpolation"):
        build_cache(cohort, 16, "cubic", folder=folder)
    with pytest.raises(UserError, match="at least 1"):
        build_cache(cohort, 0, folder=folder)
    assert not folder.exists()


def test_progress_counts_every_image_that_is_tried(cohort, folder):
    calls: list[tuple[int, int]] = []
    build_cache(cohort, 16, folder=folder, progress=lambda *now: calls.append(now), workers=1)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_folder_comes_from_the_environment(monkeypatch, tmp_path, cohort):
    monkeypatch.setenv("CXRLENS_CACHE", str(tmp_path / "there"))
    build_cache(cohort, 16)
    assert default_folder() == tmp_path / "there" and list((tmp_path / "there").glob("*/pixels.u8"))
    monkeypatch.delenv("CXRLENS_CACHE")
    assert default_folder().name == "cxrlens"
