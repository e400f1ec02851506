"""Features of frozen backbones on disk: computed once, memory-mapped, and shared by all trainings with that backbone.

The features of a backbone lie in a folder of the user's cache, `features/KEY`, in segments. A segment is a folder with
`features.npy` (float32 [n, ...]) and `items.npy` (the identity and the checksum of each of the n items). It is written
under a temporary name and then renamed, so a reader never sees half of it. A killed process loses at most the features
of the last minute.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import filelock
import numpy as np
import torch

from cxrlens import __version__
from cxrlens.data.augment import Parameters
from cxrlens.data.cache import default_folder
from cxrlens.errors import UserError
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device

FORMAT = 1
DISK_LIMIT = 20_000_000_000  # bytes of all features in the cache folder; beyond it, the least recently used ones go
SEGMENT_BYTES, SEGMENT_SECONDS = 256 << 20, 60.0  # a segment is written when it holds, or took, that much
ITEMS = np.dtype([("item", "S32"), ("crc32", "<u4")])

# Computes the features of some items, given by position: yields positions with their features float32 [b, ...].
Compute = Callable[[list[int]], Iterator[tuple[list[int], np.ndarray]]]


def features_folder() -> Path:
    """Folder of the features of all backbones."""
    return default_folder() / "features"


def backbone_key(model: Classifier, form: str, device: Device) -> str:
    """Identity of what the features of an image depend on beside its pixels.

    Args:
        model: classifier whose backbone is frozen.
        form: what is stored of a feature map, see `HeadInput.form`.
        device: device that computes. The number of threads is part of the identity: it can change the last bits.
    """
    digest = hashlib.blake2b(digest_size=16)
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(model.backbone))  # with every layer's constants
    facts = [
        FORMAT, form, model.size, asdict(model.preprocessing), model.backbone.architecture, layers,
        [__version__, torch.__version__, version("timm")],
        [torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()] if device.name == "cpu" else [device.title],
        _precision(device),
    ]  # fmt: skip
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(model.backbone.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _precision(device: Device) -> str:
    """Precision of the device's products, such as "torch.bfloat16" under autocast."""
    with torch.inference_mode(), device.autocast():
        one = torch.ones(1, 1, device=device.name)
        return str((one @ one).dtype)


def item_key(pixels: np.ndarray, parameters: Parameters, batch: int) -> str:
    """Identity of one view of one image.

    Args:
        pixels: the image as uint8 [size, size].
        parameters: the augmentation of the view.
        batch: number of images that pass the backbone together; convolutions of another number round differently.
    """
    facts = json.dumps([batch, asdict(parameters)], sort_keys=True).encode()
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes() + facts, digest_size=16).hexdigest()


def stored_features(key: str, items: Sequence[str], compute: Compute, memory_limit: int) -> list[np.ndarray]:
    """The features of some items. Those that are not on disk are computed and written first.

    If several processes need the features of one backbone at once, one computes them and the others wait. If the cache
    folder cannot be written, or its disk is full, the features stay in memory.

    Args:
        key: identity of the backbone, see `backbone_key`.
        items: identity of each item, see `item_key`; [n].
        compute: function that computes items by position.
        memory_limit: most bytes of features that stay in memory where they cannot be written.

    Returns:
        The features of each item: n arrays of one shape, read-only and memory-mapped.

    Raises:
        UserError: the features cannot be written and are more than `memory_limit`.
    """
    folder = features_folder() / key
    stored, _ = _read(folder, items)
    if len(stored) < len(set(items)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder.with_suffix(".lock")).acquire()
        except OSError as error:
            return _in_order(items, stored | _compute(_Segments(None, error, memory_limit), items, stored, compute))
        with lock:
            stored, damaged = _read(folder, items)  # another process may have written them meanwhile
            for leftover in (*damaged, *folder.glob("part-*")):  # a process that was killed left the latter
                shutil.rmtree(leftover, ignore_errors=True)
            in_memory = _compute(_Segments(folder, None, memory_limit), items, stored, compute)
            stored = _read(folder, items)[0] | in_memory
    if missing := len(set(items)) - len(stored):
        raise UserError(f"{missing} features in {folder} differ from what was written; check its disk")
    return _in_order(items, stored)


def stored_shape(key: str) -> tuple[int, ...] | None:
    """Shape of the features of a backbone, if any are on disk."""
    for segment in sorted((features_folder() / key).glob("segment-*")):
        with suppress(OSError, ValueError, EOFError):
            return np.load(segment / "features.npy", mmap_mode="r", allow_pickle=False).shape[1:]
    return None


def check_room(title: str, size: int) -> None:
    """Checks that the features of a training may take so many bytes of disk space.

    Raises:
        UserError: they are more than `DISK_LIMIT`.
    """
    if size > DISK_LIMIT:
        raise UserError(
            f"{title}: the features of its views would take {size / 1e9:.0f} GB, and {DISK_LIMIT / 1e9:.0f} GB is the "
            "most that the cache keeps: use fewer views or smaller images, or leave out views"
        )


def _in_order(items: Sequence[str], features: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [features[item] for item in items]


def _compute(
    segments: _Segments, items: Sequence[str], stored: dict[str, np.ndarray], compute: Compute
) -> dict[str, np.ndarray]:
    """Computes the items that are not stored, each once; returns those that could not be written."""
    first = {item: position for position, item in reversed([*enumerate(items)])}
    missing = sorted(position for item, position in first.items() if item not in stored)
    if missing:
        for positions, features in compute(missing):
            segments.add([items[position] for position in positions], features)
        segments.flush()
    return segments.in_memory


def _read(folder: Path, items: Sequence[str]) -> tuple[dict[str, np.ndarray], list[Path]]:
    """The intact features of these items in a folder, and its damaged segments."""
    wanted, stored, damaged = {item.encode() for item in items}, {}, []
    for segment in sorted(folder.glob("segment-*")):
        try:
            table = np.load(segment / "items.npy", allow_pickle=False)
            rows = [row for row, item in enumerate(table["item"].tolist()) if item in wanted]
            if not rows:
                continue
            features = np.load(segment / "features.npy", mmap_mode="r", allow_pickle=False)
            if len(features) != len(table) or features.dtype != np.float32:
                raise ValueError("the two files do not belong together")
            checksums = table["crc32"].tolist()
            if any(zlib.crc32(features[row].data) != checksums[row] for row in rows):
                raise ValueError("the features are not those that were written")
        except FileNotFoundError:  # deleted by another process, which needed the space
            if segment.exists():
                damaged.append(segment)
            continue
        except (OSError, ValueError, EOFError, KeyError, IndexError, TypeError):
            damaged.append(segment)
            continue
        with suppress(OSError):
            os.utime(segment)  # the least recently used segments are deleted first
        plain = features.view(np.ndarray)
        stored |= {table["item"][row].decode(): plain[row] for row in rows}
    return stored, damaged


class _Segments:
    """Collects features and writes them in segments.

    Args:
        folder: folder of the backbone, locked by the caller; None if it cannot be written.
        error: why the folder cannot be written.
        memory_limit: most bytes that stay in memory where they cannot be written.
    """

    def __init__(self, folder: Path | None, error: OSError | None, memory_limit: int) -> None:
        self._folder, self._error, self._memory_limit = folder, error, memory_limit
        self._items: list[str] = []
        self._features: list[np.ndarray] = []
        self._begun = time.monotonic()
        self._since = time.time()
        self.in_memory: dict[str, np.ndarray] = {}

    def add(self, items: list[str], features: np.ndarray) -> None:
        """Adds items with their features [b, ...]."""
        self._items += items
        self._features.append(np.ascontiguousarray(features, dtype=np.float32))
        size = sum(part.nbytes for part in self._features)
        if size >= SEGMENT_BYTES or time.monotonic() - self._begun >= SEGMENT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what was added since the last segment; keeps it in memory where it cannot be written."""
        if not self._items:
            return
        features = np.concatenate(self._features)
        if self._folder is not None:
            try:
                _make_room(features.nbytes, self._folder, self._since)
                _write_segment(self._folder, self._items, features)
            except OSError as error:
                self._folder, self._error = None, error
        if self._folder is None:
            self.in_memory |= dict(zip(self._items, features, strict=True))
            if sum(part.nbytes for part in self.in_memory.values()) > self._memory_limit:
                reason = self._error.strerror or self._error if self._error else "unknown"
                raise UserError(
                    f"cannot keep features in {features_folder()}: {reason}; free some space or set CXRLENS_CACHE to "
                    "another folder"
                )
        self._items, self._features, self._begun = [], [], time.monotonic()


def _write_segment(folder: Path, items: list[str], features: np.ndarray) -> None:
    draft = Path(tempfile.mkdtemp(prefix="part-", dir=folder))
    try:
        table = np.array(
            [(item.encode(), zlib.crc32(row.data)) for item, row in zip(items, features, strict=True)], ITEMS
        )
        for name, content in (("features.npy", features), ("items.npy", table)):
            with (draft / name).open("wb") as file:  # written, not mapped: a full disk raises an error
                np.lib.format.write_array(file, content, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        draft.replace(draft.with_name(draft.name.replace("part-", "segment-", 1)))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _make_room(size: int, folder: Path, since: float) -> None:
    """Deletes the least recently used segments until `size` more bytes fit in `DISK_LIMIT`.

    Args:
        size: bytes that are about to be written.
        folder: folder of the backbone whose features are needed.
        since: time at which they were asked for. Its segments that were read or written since then stay.
    """
    facts = []
    for segment in features_folder().glob("*/segment-*"):
        with suppress(OSError):
            facts.append((segment.stat().st_mtime, sum(file.stat().st_size for file in segment.iterdir()), segment))
    total = sum(size_of_segment for _, size_of_segment, _ in facts)
    for used, size_of_segment, segment in sorted(facts):
        if total + size <= DISK_LIMIT:
            break
        if segment.parent != folder or used < since - 60:
            shutil.rmtree(segment, ignore_errors=True)
            total -= size_of_segment
