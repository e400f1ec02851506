"""Decodes each image once and keeps it as a square of uint8 in the user's cache folder, memory-mapped."""

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

# A cache on disk is a folder with `pixels.u8` (raw images) and `cache.json` (their facts). It is written under a
# temporary name and then renamed.

FORMAT = 2
"""Version of the cache; increased whenever the same file would give other pixels or facts."""

FACTS = ("image", "width", "height", "bytes", "mode", "format", "bits", "depth", "depth_alone", "sha256", "steps")


def read_stored(folder: Path, size: int) -> tuple[np.memmap, dict[str, int], dict[str, str], pd.DataFrame] | None:
    """Pixels, index, missing and facts of the cache in `folder`; None where it is absent, incomplete or damaged."""
    try:
        record = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
        facts = pd.DataFrame(record["facts"], columns=record["columns"])
        facts = facts.astype({"depth": "Int64", "depth_alone": "Int64"})
        images = [str(image) for image in facts["image"]]
        file = folder / "pixels.u8"
        pixels = np.memmap(file, dtype=np.uint8, mode="r", shape=(len(images), size, size))
        intact = file.stat().st_size == pixels.size and _checksum(pixels.ravel()) == record["crc32"]
        missing = {str(image): str(reason) for image, reason in record["missing"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not intact:
        return None
    index = {image: row for row, image in enumerate(images)}
    return pixels, index, missing, facts


def _checksum(pixels: np.ndarray, step: int = 2**26) -> int:
    value = 0
    for start in range(0, pixels.size, step):
        value = zlib.crc32(pixels[start : start + step].data, value)
    return value


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns the error of a full disk or of a folder that cannot be written into `UserError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot keep decoded images in {folder}: {reason}; free some space or set CXRLENS_CACHE to another folder"
        ) from error


class CacheWriter:
    """Writes a cache under a temporary name; `keep` renames it, and the end of the block removes what is left.

    Args:
        folder: final folder of the cache; the caller holds its lock.
        size: height and width of the images in pixels.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.images: list[str] = []
        self.missing: dict[str, str] = {}
        self._folder = folder
        self._size = size
        self._facts: list[dict[str, Any]] = []
        self._crc = 0
        self._replaced = False

    def __enter__(self) -> CacheWriter:
        with disk_errors(self._folder.parent):
            self._open()
        return self

    def _open(self) -> None:
        for leftover in self._folder.parent.glob(f"{self._folder.name}.part-*"):  # left by a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        self._draft = Path(tempfile.mkdtemp(prefix=f"{self._folder.name}.part-", dir=self._folder.parent))
        # Written, not mapped: writing to a full disk raises an error, while a mapping would kill the process.
        self._file = (self._draft / "pixels.u8").open("wb")

    def add(self, image: str, pixels: np.ndarray, decoded: Decoded) -> None:
        """Appends an image.

        Args:
            image: name of the image.
            pixels: uint8 [size, size].
            decoded: facts and steps of its reading.
        """
        row = self._bytes(pixels)
        with disk_errors(self._folder.parent):
            self._file.write(row)
        self._crc = zlib.crc32(row, self._crc)
        self.images.append(image)
        self._facts.append(_record(image, decoded))

    def replace(self, image: str, pixels: np.ndarray, decoded: Decoded) -> None:
        """Replaces an image by another reading of it; the arguments are those of `add`."""
        position, row = self.images.index(image), self._bytes(pixels)
        with disk_errors(self._folder.parent):
            self._file.seek(position * len(row))
            self._file.write(row)
            self._file.seek(0, os.SEEK_END)
        self._facts[position] = _record(image, decoded)
        self._replaced = True

    def _bytes(self, pixels: np.ndarray) -> bytes:
        assert pixels.shape == (self._size, self._size) and pixels.dtype == np.uint8
        return np.ascontiguousarray(pixels).tobytes()

    def facts(self, name: str) -> list[Any]:
        """A fact of all images so far, such as "depth"; None where an image lacks it."""
        return [row.get(name) for row in self._facts]

    def miss(self, image: str, reason: str) -> None:
        """Records an image that cannot be read, with the reason."""
        self.missing[image] = reason

    def keep(self) -> None:
        """Renames the complete cache to its final name."""
        with disk_errors(self._folder.parent):
            self._keep()

    def _keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._replaced:
            self._crc = _checksum(np.memmap(self._draft / "pixels.u8", dtype=np.uint8, mode="r"))
        extra = dict.fromkeys(name for row in self._facts for name in row if name not in FACTS)
        columns = [*FACTS, *extra]
        facts = [[row.get(name) for name in columns] for row in self._facts]
        record = {"format": FORMAT, "columns": columns, "facts": facts, "missing": self.missing, "crc32": self._crc}
        with (self._draft / "cache.json").open("w", encoding="utf-8") as file:
            json.dump(record, file, default=_plain)
            file.flush()
            os.fsync(file.fileno())
        if self._folder.exists():  # damaged or outdated
            shutil.rmtree(self._folder)
        self._draft.replace(self._folder)

    def __exit__(self, *fault: object) -> None:
        with suppress(OSError):  # a full disk is reported already
            self._file.close()
        shutil.rmtree(self._draft, ignore_errors=True)


def _record(image: str, decoded: Decoded) -> dict[str, Any]:
    steps = "; ".join(step.replace(";", ",") for step in decoded.steps)  # ";" separates steps
    return {**decoded.facts, "image": image, "sha256": decoded.sha256, "steps": steps}


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


# The key of a cache: the files as they are now, the function that reads them, and the size.


@dataclass(frozen=True)
class Entry:
    """An image to decode.

    Attributes:
        image: name of the image.
        path: cell of the cohort's column `path`.
        file: file that the cell names; None where it names none, as in a synthetic data set.
    """

    image: str
    path: str | None
    file: Path | None

    def identity(self) -> list[object]:
        """Values that change when the image does: name, path, and size and time of change of the file."""
        stat = _stat(self.file)
        return [self.image, self.path, *((stat.st_size, stat.st_mtime_ns) if stat else ())]


def entries(cohort: Cohort) -> list[Entry]:
    """The images of a cohort that are not known to be missing, in its order."""
    data_dir = cohort.data_dir or Path()
    rows = cohort.readable[["image", "path"]].itertuples(index=False)
    files = ((image, path, path_of(path, data_dir) if path else None) for image, path in rows)
    return [Entry(image, path, file if _stat(file) else None) for image, path, file in files]


def key(cohort: Cohort, rows: list[Entry], size: int, interpolation: str, depth: int | None = None) -> str:
    """The name of a cache. It depends on the release of Pillow, since another one may decode or resize differently."""
    parts = [
        FORMAT,
        PIL.__version__,
        size,
        interpolation,
        depth,
        _reader(cohort.read),
        [row.identity() for row in rows],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _reader(read: Callable[[str], Decoded]) -> list[str]:
    """Identifies a reader with its bound arguments, since two sources may read other pixels for the same cells."""
    if isinstance(read, partial):
        bound = (*read.args, *sorted((read.keywords or {}).items()))
        return [*_reader(read.func), *(str(value) for value in bound)]
    owner = getattr(read, "__self__", None)
    has_repr = owner is not None and type(owner).__repr__ is not object.__repr__  # the default is a memory address
    return [getattr(read, "__qualname__", type(read).__qualname__), repr(owner) if has_repr else ""]


def _stat(file: Path | None) -> os.stat_result | None:
    try:
        return file.stat() if file else None
    except (OSError, ValueError):
        return None


_NONE = np.empty((1, 0, 0), dtype=np.float32)  # replaces the full image, which must not wait in memory for the writer


@dataclass(frozen=True, eq=False)
class ImageCache:
    """The decoded images of a cohort.

    Attributes:
        pixels: images as read-only uint8 [n, size, size].
        index: image → row of `pixels`, in the cohort's order.
        missing: image → why it is not in the cache; includes the missing images of the cohort.
        facts: table with one row per image, in the order of `index`: `image`, `width`, `height`, `bytes`, `mode`,
            `format`, `bits`, `depth`, `depth_alone` (see `Decoded`), `sha256`, `steps` (joined by "; "), and further
            facts of the source.
    """

    pixels: np.memmap
    index: dict[str, int]
    missing: dict[str, str]
    facts: pd.DataFrame

    @property
    def depth(self) -> int | None:
        """Bits that more than half of the files of more than 8 bits use; None where no depth has such a majority."""
        return agreed_depth(self.facts["depth_alone"])

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """Copies images into an array.

        Args:
            images: names of the images.

        Returns:
            uint8 [b, size, size], in the order of `images`.

        Raises:
            UserError: an image is not in the cohort or cannot be read.
        """
        for image in images:
            if image in self.missing:
                raise UserError(f"the image {image} cannot be read: {self.missing[image]}")
            if image not in self.index:
                raise UserError(
                    near_miss("image", image, self.index) if len(self.index) < 50 else f"there is no image {image}"
                )
        return np.array(self.pixels[[self.index[image] for image in images]])


def default_folder() -> Path:
    """The default folder of caches: `$CXRLENS_CACHE`, else the user's cache folder."""
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
    """Decodes and resizes the images of a cohort, or opens the cache of an earlier call.

    Files of more than 8 bits that do not state their depth are read at `depth`, or at the depth of most of the cohort.

    A cache is used again while the names, sizes and times of change of the files stay the same. It is built anew if it
    is damaged, or if an image that could not be read has become readable. If several processes call at once, one
    builds the cache and the others wait.

    Args:
        cohort: cohort to decode; `path` and `read` must determine the pixels.
        size: height and width of the decoded images in pixels.
        interpolation: name of an interpolation in `cxrlens.data.images.INTERPOLATIONS`.
        folder: folder of the caches; `default_folder()` by default.
        progress: called with (images done, images in all) while building, from the calling thread.
        workers: number of threads; by default the number of processors, at most 8.
        depth: bits of files of more than 8 bits that do not state their own depth; by default the depth of most of the
            cohort.

    Raises:
        UserError: no image can be read, or the folder cannot be written.
    """
    check_resize(size, interpolation)
    rows = entries(cohort)
    folder = folder or default_folder()
    cache_folder = folder / key(cohort, rows, size, interpolation, depth)

    def valid_cache() -> ImageCache | None:
        content = read_stored(cache_folder, size)
        cache = None if content is None else ImageCache(*content)
        return cache if cache is not None and _is_current(cache, cohort, rows, interpolation, depth) else None

    cache = valid_cache()
    if cache is None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(cache_folder.with_suffix(".lock")).acquire()
        with lock:
            cache = valid_cache()  # another process may have built it meanwhile
            if cache is None:
                _build(cache_folder, cohort, rows, size, interpolation, progress, workers, depth)
                content = read_stored(cache_folder, size)
                if content is None:
                    raise UserError(
                        f"the decoded images in {cache_folder} differ from what was written; check its disk"
                    )
                cache = ImageCache(*content)
    return replace(cache, missing={**cohort.missing, **cache.missing})


def _build(
    folder: Path,
    cohort: Cohort,
    rows: list[Entry],
    size: int,
    interpolation: str,
    progress: Callable[[int, int], None] | None,
    workers: int | None,
    depth: int | None,
) -> None:
    undeclared: list[Entry] = []  # files without a stated depth, read by their own values so far

    def work(row: Entry, depth: int | None = depth) -> tuple[np.ndarray, Decoded] | str:
        try:
            decoded = _read(cohort, row)
            flexible = decoded.read_as is not None
            decoded = decoded.at_depth(depth)
        except UserError as error:
            return error.reason if isinstance(error, UnreadableImage) else str(error)
        if flexible and depth is None:
            undeclared.append(row)
        return to_uint8(decoded.pixels, size, interpolation), replace(decoded, pixels=_NONE, read_as=None)

    threads = workers or min(8, os.cpu_count() or 1)
    batch_size = 16 * threads  # limits the images that wait in memory for the writer
    with CacheWriter(folder, size) as writer, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            for done, (row, result) in enumerate(zip(batch, pool.map(work, batch), strict=True), start + 1):
                if isinstance(result, str):
                    writer.miss(row.image, result)
                else:
                    writer.add(row.image, *result)
                if progress:
                    progress(done, len(rows))
        agreed = agreed_depth(writer.facts("depth_alone")) if depth is None else None
        own_depths = dict(zip(writer.images, writer.facts("depth_alone"), strict=True))
        reread = [row for row in undeclared if agreed is not None and own_depths[row.image] != agreed]
        for row, result in zip(reread, pool.map(partial(work, depth=agreed), reread), strict=True):
            if isinstance(result, str):
                raise UserError(f"{cohort.name}: {row.image} changed while it was read ({result}); start again")
            writer.replace(row.image, *result)
        if not writer.images:
            reason = next((f"; {image}: {why}" for image, why in {**cohort.missing, **writer.missing}.items()), "")
            raise UserError(f"{cohort.name}: none of the {len(cohort)} listed images can be read{reason}")
        writer.keep()


def _is_current(cache: ImageCache, cohort: Cohort, rows: list[Entry], interpolation: str, depth: int | None) -> bool:
    """Checks what the key does not cover: codecs installed since, and changed pixels of sources without files."""
    by_image = {row.image: row for row in rows}
    for image in cache.missing:
        try:
            _read(cohort, by_image[image])
        except UserError:
            continue
        return False
    without_file = [row for row in rows if row.image in cache.index and row.file is None]
    for row in {without_file[0], without_file[-1]} if without_file else ():
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
