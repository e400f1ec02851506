"""Every image decoded once, kept as memory-mapped uint8 squares in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import PIL
import platformdirs

from cxrlens.data.cohort import Cohort, Decoded
from cxrlens.data.depth import agreed_depth
from cxrlens.data.images import check_resize, to_uint8
from cxrlens.data.unreadable import UnreadableImage
from cxrlens.errors import UserError, near_miss
from cxrlens.names import path_of

# One cache on disk: `pixels.u8`, raw rows, beside `cache.json`, what they are; written aside, then renamed whole.

FORMAT = 2
"""Raised whenever the same file would give other pixels or facts."""

FACTS = ("image", "width", "height", "bytes", "mode", "format", "bits", "depth", "depth_alone", "sha256", "steps")


def stored(place: Path, size: int) -> tuple[np.memmap, dict[str, int], dict[str, str], pd.DataFrame] | None:
    """Pixels, index, missing and facts of the cache at `place`; None where it is absent, half or damaged."""
    try:
        said = json.loads((place / "cache.json").read_text(encoding="utf-8"))
        facts = pd.DataFrame(said["facts"], columns=said["columns"])
        facts = facts.astype({"depth": "Int64", "depth_alone": "Int64"})
        images = [str(image) for image in facts["image"]]
        file = place / "pixels.u8"
        pixels = np.memmap(file, dtype=np.uint8, mode="r", shape=(len(images), size, size))
        whole = file.stat().st_size == pixels.size and _checksum(pixels.ravel()) == said["crc32"]
        missing = {str(image): str(reason) for image, reason in said["missing"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not whole:
        return None
    index = {image: row for row, image in enumerate(images)}
    return pixels, index, missing, facts


def _checksum(pixels: np.ndarray, step: int = 2**26) -> int:
    value = 0
    for start in range(0, pixels.size, step):
        value = zlib.crc32(pixels[start : start + step].data, value)
    return value


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tells a full disk or a folder that cannot be written as the user's to mend."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(
            f"cannot keep decoded images in {folder}: {why}; free some space or set CXRLENS_CACHE to another folder"
        ) from error


class CacheWriter:
    """Writes one cache beside its place; nothing is at the place before `keep`, nothing stays aside after the block.

    The caller holds the lock of `place`.
    """

    def __init__(self, place: Path, size: int) -> None:
        self.images: list[str] = []
        self.missing: dict[str, str] = {}
        self._place = place
        self._size = size
        self._facts: list[dict[str, Any]] = []
        self._crc = 0
        self._replaced = False

    def __enter__(self) -> CacheWriter:
        with writing(self._place.parent):
            self._open()
        return self

    def _open(self) -> None:
        for left in self._place.parent.glob(f"{self._place.name}.part-*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._aside = Path(tempfile.mkdtemp(prefix=f"{self._place.name}.part-", dir=self._place.parent))
        # Written, not mapped: a full disk is an error here, and a signal that kills there.
        self._file = (self._aside / "pixels.u8").open("wb")

    def add(self, image: str, pixels: np.ndarray, decoded: Decoded) -> None:
        """Appends one image: uint8 [size, size] and the record of its reading."""
        row = self._bytes(pixels)
        with writing(self._place.parent):
            self._file.write(row)
        self._crc = zlib.crc32(row, self._crc)
        self.images.append(image)
        self._facts.append(_record(image, decoded))

    def replace(self, image: str, pixels: np.ndarray, decoded: Decoded) -> None:
        """Puts another reading of an image in the place of its first."""
        place, row = self.images.index(image), self._bytes(pixels)
        with writing(self._place.parent):
            self._file.seek(place * len(row))
            self._file.write(row)
            self._file.seek(0, os.SEEK_END)
        self._facts[place] = _record(image, decoded)
        self._replaced = True

    def _bytes(self, pixels: np.ndarray) -> bytes:
        assert pixels.shape == (self._size, self._size) and pixels.dtype == np.uint8
        return np.ascontiguousarray(pixels).tobytes()

    def facts(self, name: str) -> list[Any]:
        """One fact of every image so far; None where an image lacks it."""
        return [row.get(name) for row in self._facts]

    def miss(self, image: str, reason: str) -> None:
        """Records an image that cannot be read."""
        self.missing[image] = reason

    def keep(self) -> None:
        """Puts the cache in its place, whole."""
        with writing(self._place.parent):
            self._keep()

    def _keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._replaced:
            self._crc = _checksum(np.memmap(self._aside / "pixels.u8", dtype=np.uint8, mode="r"))
        extra = dict.fromkeys(name for row in self._facts for name in row if name not in FACTS)
        columns = [*FACTS, *extra]
        facts = [[row.get(name) for name in columns] for row in self._facts]
        said = {"format": FORMAT, "columns": columns, "facts": facts, "missing": self.missing, "crc32": self._crc}
        with (self._aside / "cache.json").open("w", encoding="utf-8") as file:
            json.dump(said, file, default=_plain)
            file.flush()
            os.fsync(file.fileno())
        if self._place.exists():  # damaged, or no longer true
            shutil.rmtree(self._place)
        self._aside.replace(self._place)

    def __exit__(self, *fault: object) -> None:
        with suppress(OSError):  # of a full disk, told already
            self._file.close()
        shutil.rmtree(self._aside, ignore_errors=True)


def _record(image: str, decoded: Decoded) -> dict[str, Any]:
    steps = "; ".join(step.replace(";", ",") for step in decoded.steps)  # one ";" a step
    return {**decoded.facts, "image": image, "sha256": decoded.sha256, "steps": steps}


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


# What decides the pixels of a cache: the files as they are now, who reads them, and the size asked for.


@dataclass(frozen=True)
class Entry:
    """One image to be had.

    Attributes:
        image: its name.
        path: the cohort's cell.
        file: the file that the cell names; None where it names none, as in a set that is drawn.
    """

    image: str
    path: str | None
    file: Path | None

    def identity(self) -> list[object]:
        """What changes when the image does."""
        stat = _stat(self.file)
        return [self.image, self.path, *((stat.st_size, stat.st_mtime_ns) if stat else ())]


def entries(cohort: Cohort) -> list[Entry]:
    """The images that may be readable, in the cohort's order.

    A cell is an absolute path, or relative to the folder that the source bound to its reader with `functools.partial`.
    """
    bound = cohort.read.args if isinstance(cohort.read, partial) else ()
    data_dir = next((value for value in bound if isinstance(value, Path)), Path())
    rows = cohort.readable[["image", "path"]].itertuples(index=False)
    files = ((image, path, path_of(path, data_dir) if path else None) for image, path in rows)
    return [Entry(image, path, file if _stat(file) else None) for image, path, file in files]


def key(cohort: Cohort, rows: list[Entry], size: int, interpolation: str, depth: int | None = None) -> str:
    """The name of the cache; another release of Pillow may decode or resize otherwise, so it counts too."""
    said = [FORMAT, PIL.__version__, size, interpolation, depth, _reader(cohort.read), [row.identity() for row in rows]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _reader(read: Callable[[str], Decoded]) -> list[str]:
    """Two sources may use the same cells for other pixels: what is bound to the reader tells them apart."""
    if isinstance(read, partial):
        said = (*read.args, *sorted((read.keywords or {}).items()))
        return [*_reader(read.func), *(str(value) for value in said)]
    owner = getattr(read, "__self__", None)
    told = owner is not None and type(owner).__repr__ is not object.__repr__  # else it is an address in memory
    return [getattr(read, "__qualname__", type(read).__qualname__), repr(owner) if told else ""]


def _stat(file: Path | None) -> os.stat_result | None:
    try:
        return file.stat() if file else None
    except (OSError, ValueError):
        return None


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
