"""One cache on disk: `pixels.u8`, raw rows, beside `cache.json`, what they are; written aside, then renamed whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxrlens.data.cohort import Decoded
from cxrlens.errors import UserError

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
