"""Reads the tensors in a weight file, whose kind it recognises by content; no code in the file is ever run.

The first part reads a whole module pickled by PyTorch before 1.6, such as torchxrayvision's release files, as data.
PyTorch's own safe reader refuses modules in that format. Every name in the pickle is looked up in a short list of inert
stand-ins, so that no import, attribute or function of any library can be reached. The format (torch/serialization.py,
`_legacy_save`): a magic number, a version, a table of sizes, the object, the keys of its storages, then for each key
the number of elements and the elements.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from cxrlens.errors import UserError

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
MAX_ELEMENTS = 2**28  # of one tensor
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}


class Record:
    """Stand-in for a class: holds the state from the pickle and does nothing."""

    def __setstate__(self, state: object) -> None:
        self.state = state


@dataclass(eq=False)
class _Storage:
    kind: str
    elements: np.ndarray | None = None


@dataclass(eq=False)
class Pending:
    """A tensor whose elements come later in the file."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> Tensor:
        """The tensor, after a check that it lies within the elements in the file."""
        elements = self.storage.elements
        numbers = (self.offset, *self.size, *self.stride)
        if elements is None or any(type(value) is not int or value < 0 for value in numbers):
            raise pickle.UnpicklingError("a tensor without numbers")
        if prod(self.size) > MAX_ELEMENTS:
            raise pickle.UnpicklingError("a tensor of impossible size")
        last = self.offset + sum((length - 1) * step for length, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and last >= elements.size:
            raise pickle.UnpicklingError("a tensor beyond its storage")
        return torch.as_strided(torch.from_numpy(elements), self.size, self.stride, self.offset).clone()


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> Pending:
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise pickle.UnpicklingError("a tensor of something else")
    return Pending(storage, offset, size, stride)


def _parameter(tensor: Any, *_: object) -> Any:
    return tensor


@dataclass(frozen=True)
class _StorageType:
    kind: str


class _Reader(pickle._Unpickler):
    """Python's own unpickler. Its memo is a dictionary; the C version's is as long as the largest index in the file."""

    def __init__(self, file: BinaryIO, classes: tuple[str, ...]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}
        self.known: dict[str, Any] = {
            "collections.OrderedDict": OrderedDict,
            "builtins.set": set,
            "__builtin__.set": set,
            "torch._utils._rebuild_tensor": _tensor,
            "torch._utils._rebuild_tensor_v2": _tensor,
            "torch._utils._rebuild_parameter": _parameter,
            **{f"torch.{name}": _StorageType(kind) for name, kind in STORAGES.items()},
            **dict.fromkeys(classes, Record),
        }

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.known:
            raise pickle.UnpicklingError(f"{module}.{name} is not needed for a network's tensors")
        return self.known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module" and pid[1] is Record:
            return Record
        if isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and isinstance(pid[1], _StorageType):
            if pid[5:] not in ((), (None,)):
                raise pickle.UnpicklingError("a view of a storage")
            return self.storages.setdefault(str(pid[2]), _Storage(pid[1].kind))
        raise pickle.UnpicklingError("neither a class nor a storage")


def read_legacy_module(path: Path, classes: tuple[str, ...]) -> object:
    """Reads the object in a file, with its classes as `Record` and its tensors as `Pending`.

    Args:
        path: path of the file.
        classes: names of the only classes that the file may use.

    Raises:
        Exception: almost any, for a file that is truncated, hostile or of another kind; nothing in it was run.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise pickle.UnpicklingError("not PyTorch's old format")
        for _ in range(2):  # version, sizes
            _Reader(file, ()).load()
        reader = _Reader(file, classes)
        result = reader.load()
        for key in _Reader(file, ()).load():
            storage = reader.storages[str(key)]
            count = int.from_bytes(file.read(8), "little", signed=True)
            kind = np.dtype(storage.kind)
            if not 0 <= count <= MAX_ELEMENTS:
                raise pickle.UnpicklingError("a storage of impossible size")
            data = file.read(count * kind.itemsize)
            storage.elements = np.frombuffer(bytearray(data), kind)
            if storage.elements.size != count:
                raise pickle.UnpicklingError("cut off")
    return result


Kind = Literal["hdf5", "safetensors", "torch", "torch module"]

HDF5 = b"\x89HDF\r\n\x1a\n"
READER = Path(__file__).with_name("hdf5_reader.py")
BLOCK = 2**24  # bytes
TIMEOUT = 12.0  # seconds for a block of an HDF5 file
MAX_MODULES = 20_000  # in one file
MAX_DEPTH = 4  # of nested tables
NETWORKS = (  # names of the network in the checkpoints of training programs
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params"),
    *("state_dict_ema", "model_ema", "ema", "params_ema", "student", "teacher"),
)

# The classes in a pickled DenseNet of torchxrayvision. Each is read as an inert record.
MODULES = (
    *(f"torchxrayvision.models.{name}" for name in ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition")),
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.pooling.MaxPool2d",
    "torch.nn.modules.pooling.AvgPool2d",
    "torch.nn.modules.linear.Linear",
)


@dataclass(frozen=True)
class Contents:
    """Contents of a weight file.

    Attributes:
        kind: kind of the file; "torch module" is a whole pickled network, read as data.
        tensors: tensors by their names in the file.
        metadata: texts in the file: the metadata of a safetensors file, or the names of a Keras 3 file's layers by
            their places.
    """

    kind: Kind
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_contents(path: Path) -> Contents:
    """Reads the tensors of an HDF5, safetensors or PyTorch file, whatever its suffix.

    Raises:
        UserError: the file cannot be read, is of another kind, is truncated, or holds more than tensors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    lower = start.lstrip(b" \t\r\n\xef\xbb\xbf").lower()
    if lower.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UserError(f"{path.name} cannot be read as plain tensors: it is a web page; fetch the file again")
    if lower.startswith(b"version https://git-lfs"):
        raise UserError(f"{path.name} cannot be read as plain tensors: it is a Git LFS pointer; run `git lfs pull`")
    if start.startswith(HDF5) or (start.startswith(b"PK") and _is_keras_archive(path)):
        return _keras(path)
    if _is_safetensors(start) or path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return Contents("safetensors", load_file(path), file.metadata() or {})
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{path.name} is not a complete safetensors file: {error}") from error
    return _torch(path)


def _is_keras_archive(path: Path) -> bool:
    """Whether the file is a zip archive of Keras 3; PyTorch's files are zip archives too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "metadata.json"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _is_safetensors(start: bytes) -> bool:
    return len(start) > 9 and start[8:10] == b'{"' and struct.unpack("<Q", start[:8])[0] < 100 * 2**20


def _keras(path: Path) -> Contents:
    """Reads an HDF5 file or `.keras` archive with `hdf5_reader`, in a process that is killed if it hangs."""
    command = [sys.executable, str(READER), str(path)]
    # One thread is enough; the second setting keeps HDF5 from loading plugins.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as reader:
        assert reader.stdout
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            reader.kill()

        def read(size: int) -> bytearray:
            data = bytearray(size)
            view, position = memoryview(data), 0
            while position < size:
                timer = threading.Timer(TIMEOUT, kill)
                timer.start()
                try:
                    count = reader.stdout.readinto(view[position : position + BLOCK])  # type: ignore[union-attr]
                finally:
                    timer.cancel()
                if not count:
                    late = f"nothing could be read in {TIMEOUT:g} seconds"
                    fault = late if timed_out.is_set() else "it ends too early"
                    raise UserError(f"{path.name} is not a complete HDF5 file of weights: {fault}; fetch it again")
                position += count
            return data

        try:
            header = json.loads(read(int.from_bytes(read(8), "little")))
            if "error" in header:
                raise UserError(f"{path.name}{header['error']}")
            tensors = {
                name: torch.frombuffer(read(4 * prod(shape)), dtype=torch.float32).view(shape)
                if prod(shape)
                else torch.zeros(shape)
                for name, shape in header["arrays"]
            }
            try:
                succeeded = reader.wait(TIMEOUT) == 0
            except subprocess.TimeoutExpired:
                succeeded = False
            if not succeeded:
                raise UserError(f"{path.name} is not a complete HDF5 file of weights; fetch it again")
        finally:
            reader.kill()
    return Contents("hdf5", tensors, header["layers"])


def _torch(path: Path) -> Contents:
    try:
        loaded = _load(path)
    except Exception as error:  # torch.load raises almost anything on a hostile or truncated file
        raise UserError(
            f"{path.name} cannot be read as plain tensors ({type(error).__name__}); "
            "nothing in it was run: save it as .safetensors"
        ) from error
    if isinstance(loaded, Record):
        return Contents("torch module", _module_tensors(loaded, path))
    state = _state_dict(loaded, path)
    is_table = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not is_table or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path.name} holds something other than a table of tensors: save the state dict alone")
    return Contents("torch", {name: tensor.detach() for name, tensor in state.items()})


def _state_dict(value: object, path: Path) -> object:
    """The network's state dict in a training checkpoint.

    Raises:
        UserError: the checkpoint holds several networks, such as a moving average beside the last weights.
    """
    for _ in range(MAX_DEPTH):
        if not isinstance(value, dict) or any(isinstance(entry, Tensor) for entry in value.values()):
            return value
        networks = [key for key in NETWORKS if _has_tensors(value.get(key))]
        if len(networks) > 1:
            raise UserError(
                f"{path.name} holds several networks ({', '.join(networks)}): save the state dict of one alone"
            )
        if not networks:
            return value
        value = value[networks[0]]
    return value


def _has_tensors(value: object, depth: int = MAX_DEPTH) -> bool:
    if isinstance(value, dict) and depth:
        return any(_has_tensors(inner, depth - 1) for inner in value.values())
    return isinstance(value, Tensor) and depth < MAX_DEPTH


def _load(path: Path) -> object:
    with path.open("rb") as file:
        is_old = file.read(len(MAGIC)) == MAGIC
    try:
        with torch.serialization.safe_globals([(Record, name) for name in MODULES]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not is_old:
            raise
        return read_legacy_module(path, MODULES)


def _module_tensors(module: Record, path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, object]] = [("", module)]
    visited = 0
    while waiting:
        prefix, record = waiting.pop()
        state = getattr(record, "state", None)
        visited += 1
        if not isinstance(record, Record) or not isinstance(state, dict) or visited > MAX_MODULES or len(prefix) > 200:
            raise UserError(f"{path.name} holds a module that is not from torch; nothing in it was run")
        for name, tensor in [*_table(state, "_parameters"), *_table(state, "_buffers")]:
            if isinstance(tensor, Tensor | Pending):
                try:
                    tensors[prefix + name] = tensor.tensor() if isinstance(tensor, Pending) else tensor.detach()
                except Exception as error:  # sizes that no tensor can have
                    raise UserError(f"{path.name}: {prefix + name} is damaged: {error}") from error
        waiting.extend((f"{prefix}{name}.", child) for name, child in _table(state, "_modules"))
    return tensors


def _table(state: dict[str, object], name: str) -> list[tuple[str, object]]:
    table = state.get(name)
    return [(str(key), value) for key, value in table.items() if value is not None] if isinstance(table, dict) else []
