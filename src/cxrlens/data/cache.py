"""Every image decoded once, kept as memory-mapped uint8 squares in the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import platformdirs

from cxrlens.data.cache_folder import CacheWriter, stored, writing
from cxrlens.data.cache_key import Entry, entries, key
from cxrlens.data.cohort import Cohort, Decoded
from cxrlens.data.depth import agreed_depth
from cxrlens.data.images import check_resize, to_uint8
from cxrlens.data.unreadable import UnreadableImage
from cxrlens.errors import UserError, near_miss

_NONE = np.empty((1, 0, 0), dtype=np.float32)  # for the full size, which need not wait for the writer


@dataclass(frozen=True, eq=False)
class ImageCache:
    """The readable images of a cohort.

    Attributes:
        pixels: read-only uint8 [n, size, size].
        index: image → row of `pixels`, in the cohort's order.
        missing: image → why it is not here; the cohort's own missing images included.
        facts: one row an image of `index`, in the same order: `image`, `width`, `height`, `bytes`, `mode`, `format`,
            `bits`, `depth`, `depth_alone` (see `Decoded`), `sha256`, `steps` (joined by "; "), and whatever else the
            source says of a file.
    """

    pixels: np.memmap
    index: dict[str, int]
    missing: dict[str, str]
    facts: pd.DataFrame

    @property
    def depth(self) -> int | None:
        """Bits that most of the files of more than 8 bits use; None where there are none, or they do not agree."""
        return agreed_depth(self.facts["depth_alone"])

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """A copy of some images, in the order asked for.

        Returns:
            uint8 [b, size, size].

        Raises:
            UserError: an image that is not in the cohort or that could not be read.
        """
        for image in images:
            if image in self.missing:
                raise UserError(f"the image {image} cannot be read: {self.missing[image]}")
            if image not in self.index:
                raise UserError(near_miss("image", image, self.index) if len(self.index) < 50 else f"no image {image}")
        return np.array(self.pixels[[self.index[image] for image in images]])


def default_folder() -> Path:
    """Where caches are kept unless said otherwise: `$CXRLENS_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("CXRLENS_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("cxrlens")


def build_cache(
    cohort: Cohort,
    size: int,
    interpolation: str = "bicubic",
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    depth: int | None = None,
) -> ImageCache:
    """Decodes and resizes the cohort's images, or opens what an earlier call left.

    Files of more than 8 bits that do not say how many they use are read as most of the cohort are, or as `depth` says.

    A cache is found again while the files' names, sizes and times of change stay the same. One that is damaged is built
    anew, and so is one whose unreadable images have become readable. Several processes may ask at once: one builds.

    Args:
        cohort: whose readable images are wanted; `path` and the reader must say all that decides the pixels.
        size: of both sides, in pixels.
        interpolation: one of `cxrlens.data.images.INTERPOLATIONS`.
        folder: where caches are kept.
        progress: called with (images done, images in all) while building, from the calling thread.
        workers: threads; by default one a processor, at most 8.
        depth: bits that files of more than 8 bits are read as, where they do not say their own; what most of the cohort
            use without it.

    Raises:
        UserError: no image can be read, or the folder cannot be written.
    """
    check_resize(size, interpolation)
    rows = entries(cohort)
    folder = folder or default_folder()
    place = folder / key(cohort, rows, size, interpolation, depth)

    def known() -> ImageCache | None:
        found = stored(place, size)
        cache = None if found is None else ImageCache(*found)
        return cache if cache is not None and _still_true(cache, cohort, rows, interpolation, depth) else None

    cache = known()
    if cache is None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            held = filelock.FileLock(place.with_suffix(".lock")).acquire()
        with held:
            cache = known()  # another process may have built it meanwhile
            if cache is None:
                _build(place, cohort, rows, size, interpolation, progress, workers, depth)
                found = stored(place, size)
                if found is None:
                    raise UserError(f"decoded images in {place} do not stay as written; is its disk in order?")
                cache = ImageCache(*found)
    return replace(cache, missing={**cohort.missing, **cache.missing})


def _build(
    place: Path,
    cohort: Cohort,
    rows: list[Entry],
    size: int,
    interpolation: str,
    progress: Callable[[int, int], None] | None,
    workers: int | None,
    depth: int | None,
) -> None:
    unsure: list[Entry] = []  # read by their own values so far

    def work(row: Entry, depth: int | None = depth) -> tuple[np.ndarray, Decoded] | str:
        try:
            decoded = _read(cohort, row)
            flexible = decoded.read_as is not None
            decoded = decoded.at_depth(depth)
        except UserError as error:
            return error.reason if isinstance(error, UnreadableImage) else str(error)
        if flexible and depth is None:
            unsure.append(row)
        return to_uint8(decoded.pixels, size, interpolation), replace(decoded, pixels=_NONE, read_as=None)

    threads = workers or min(8, os.cpu_count() or 1)
    at_once = 16 * threads  # bounds what waits in memory for the writer
    with CacheWriter(place, size) as writer, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            for done, (row, result) in enumerate(zip(some, pool.map(work, some), strict=True), start + 1):
                if isinstance(result, str):
                    writer.miss(row.image, result)
                else:
                    writer.add(row.image, *result)
                if progress:
                    progress(done, len(rows))
        agreed = agreed_depth(writer.facts("depth_alone")) if depth is None else None
        alone = dict(zip(writer.images, writer.facts("depth_alone"), strict=True))
        odd = [row for row in unsure if agreed is not None and alone[row.image] != agreed]
        for row, result in zip(odd, pool.map(partial(work, depth=agreed), odd), strict=True):
            if isinstance(result, str):
                raise UserError(f"{cohort.name}: {row.image} changed while it was read ({result}); start again")
            writer.replace(row.image, *result)
        if not writer.images:
            reason = next((f"; {image}: {why}" for image, why in {**cohort.missing, **writer.missing}.items()), "")
            raise UserError(f"{cohort.name}: none of the {len(cohort)} listed images can be read{reason}")
        writer.keep()


def _still_true(cache: ImageCache, cohort: Cohort, rows: list[Entry], interpolation: str, depth: int | None) -> bool:
    """Checks what the key cannot know: codecs installed since, and sources without files whose pixels changed."""
    by_image = {row.image: row for row in rows}
    for image in cache.missing:
        try:
            _read(cohort, by_image[image])
        except UserError:
            continue
        return False
    made = [row for row in rows if row.image in cache.index and row.file is None]
    for row in {made[0], made[-1]} if made else ():
        try:
            decoded = _read(cohort, row).at_depth(cache.depth if depth is None else depth)
            pixels = to_uint8(decoded.pixels, cache.pixels.shape[-1], interpolation)
        except UserError:
            return False
        if not np.array_equal(pixels, cache.pixels[cache.index[row.image]]):
            return False
    return True


def _read(cohort: Cohort, row: Entry) -> Decoded:
    if row.path is None:
        raise UnreadableImage("no file is listed")
    return cohort.read(row.path)
