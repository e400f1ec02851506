"""The tensors in a file, by what the file is rather than by its name, and without running anything that is in it."""

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

# A whole module pickled by PyTorch before 1.6, as torchxrayvision's release files are, read as data.
#
# PyTorch's own safe reader refuses modules in that format. Here every name in the pickle is looked up in a short list
# of inert stand-ins, and nothing else can be reached: no import, no attribute, no function of any library. The layout
# (torch/serialization.py, `_legacy_save`): a magic number, a version, a table of sizes, the object, the keys of its
# storages, then for each key the number of elements and the elements.

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
LARGEST = 2**28  # elements
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}


class Record:
    """Stands for a class: keeps the state that the pickle carries and does nothing."""

    def __setstate__(self, state: object) -> None:
        self.state = state


@dataclass(eq=False)
class _Storage:
    kind: str
    elements: np.ndarray | None = None


@dataclass(eq=False)
class Pending:
    """A tensor whose numbers come later in the file."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> Tensor:
        """The tensor; its view is checked against the numbers that there are."""
        held = self.storage.elements
        whole = (self.offset, *self.size, *self.stride)
        if held is None or any(type(each) is not int or each < 0 for each in whole) or prod(self.size) > LARGEST:
            raise pickle.UnpicklingError("a tensor without numbers")
        last = self.offset + sum((side - 1) * step for side, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and last >= held.size:
            raise pickle.UnpicklingError("a tensor beyond its storage")
        return torch.as_strided(torch.from_numpy(held), self.size, self.stride, self.offset).clone()


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
    """Python's own unpickler, whose memo is a dictionary; C's is a table as long as the largest index in the file."""

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
            raise pickle.UnpicklingError(f"{module}.{name} is none of what a network's tensors need")
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
    """The object in the file, its classes as `Record` and its tensors as `Pending`.

    Args:
        path: of the file.
        classes: the only ones that it may name.

    Raises:
        Exception: almost any, for a file that is cut off, hostile or something else; nothing in it was run.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise pickle.UnpicklingError("not PyTorch's old format")
        for _ in range(2):  # version, sizes
            _Reader(file, ()).load()
        reader = _Reader(file, classes)
        found = reader.load()
        for key in _Reader(file, ()).load():
            storage = reader.storages[str(key)]
            count = int.from_bytes(file.read(8), "little", signed=True)
            kind = np.dtype(storage.kind)
            if not 0 <= count <= LARGEST:
                raise pickle.UnpicklingError("a storage of impossible size")
            data = file.read(count * kind.itemsize)
            storage.elements = np.frombuffer(bytearray(data), kind)
            if storage.elements.size != count:
                raise pickle.UnpicklingError("cut off")
    return found


Kind = Literal["hdf5", "safetensors", "torch", "torch module"]

HDF5 = b"\x89HDF\r\n\x1a\n"
READER = Path(__file__).with_name("hdf5_reader.py")
BLOCK = 2**24  # bytes
PATIENCE = 12.0  # seconds for a block of an HDF5 file
MOST = 20_000  # tensors and modules of one file
DEEPEST = 4  # tables inside each other
NETWORKS = (  # what training programs call the network in a checkpoint
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params"),
    *("state_dict_ema", "model_ema", "ema", "params_ema", "student", "teacher"),
)

# The classes that a pickled DenseNet of torchxrayvision names. Each is read as an inert record, never as itself.
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
    """What a weight file holds.

    Attributes:
        kind: of file; "torch module" is a whole pickled network, read as data.
        tensors: under the names of the file.
        metadata: texts that the file holds beside them: of a safetensors file, or a Keras 3 layer's place → its name.
    """

    kind: Kind
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_contents(path: Path) -> Contents:
    """The tensors of an HDF5, safetensors or PyTorch file; its suffix decides nothing.

    Raises:
        UserError: it cannot be read, is none of these, is cut off, or holds more than tensors.
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
            raise UserError(f"{path.name} is not a whole safetensors file: {error}") from error
    return _torch(path)


def _is_keras_archive(path: Path) -> bool:
    """Whether it is a zip archive that Keras 3 wrote; PyTorch's are zip archives too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "metadata.json"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _is_safetensors(start: bytes) -> bool:
    return len(start) > 9 and start[8:10] == b'{"' and struct.unpack("<Q", start[:8])[0] < 100 * 2**20


def _keras(path: Path) -> Contents:
    """The arrays of an HDF5 file or `.keras` archive, read by `hdf5_reader` in a process that is ended if it hangs."""
    command = [sys.executable, str(READER), str(path)]
    # One thread is enough, and no filter is loaded from a folder of plugins.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as reader:
        assert reader.stdout
        hung = threading.Event()

        def end() -> None:
            hung.set()
            reader.kill()

        def take(size: int) -> bytearray:
            taken = bytearray(size)
            view, at = memoryview(taken), 0
            while at < size:
                patience = threading.Timer(PATIENCE, end)
                patience.start()
                try:
                    count = reader.stdout.readinto(view[at : at + BLOCK])  # type: ignore[union-attr]
                finally:
                    patience.cancel()
                if not count:
                    why = f"nothing came of it in {PATIENCE:g} seconds" if hung.is_set() else "it ends too early"
                    raise UserError(f"{path.name} is not a whole HDF5 file of weights: {why}; fetch the file again")
                at += count
            return taken

        try:
            header = json.loads(take(int.from_bytes(take(8), "little")))
            if "error" in header:
                raise UserError(f"{path.name}{header['error']}")
            tensors = {
                name: torch.frombuffer(take(4 * prod(shape)), dtype=torch.float32).view(shape)
                if prod(shape)
                else torch.zeros(shape)
                for name, shape in header["arrays"]
            }
            try:
                ended = reader.wait(PATIENCE) == 0
            except subprocess.TimeoutExpired:
                ended = False
            if not ended:
                raise UserError(f"{path.name} is not a whole HDF5 file of weights; fetch the file again")
        finally:
            reader.kill()
    return Contents("hdf5", tensors, header["layers"])


def _torch(path: Path) -> Contents:
    try:
        found = _load(path)
    except Exception as error:  # torch.load raises almost anything on a hostile or truncated file
        raise UserError(
            f"{path.name} cannot be read as plain tensors ({type(error).__name__}); "
            "nothing in it was run: save it as .safetensors"
        ) from error
    if isinstance(found, Record):
        return Contents("torch module", _walk(found, path))
    found = _innermost(found, path)
    table = isinstance(found, dict) and all(isinstance(name, str) for name in found)
    if not table or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path.name} holds something other than a table of tensors: save the state dict alone")
    return Contents("torch", {name: tensor.detach() for name, tensor in found.items()})


def _innermost(found: object, path: Path) -> object:
    """The network's table in a training checkpoint, whose optimizer is not wanted.

    Raises:
        UserError: it holds several networks, such as a moving average beside the last weights.
    """
    for _ in range(DEEPEST):
        if not isinstance(found, dict) or any(isinstance(value, Tensor) for value in found.values()):
            return found
        networks = [key for key in NETWORKS if _has_tensors(found.get(key))]
        if len(networks) > 1:
            raise UserError(
                f"{path.name} holds several networks ({', '.join(networks)}): save the state dict of one alone"
            )
        if not networks:
            return found
        found = found[networks[0]]
    return found


def _has_tensors(value: object, depth: int = DEEPEST) -> bool:
    if isinstance(value, dict) and depth:
        return any(_has_tensors(inner, depth - 1) for inner in value.values())
    return isinstance(value, Tensor) and depth < DEEPEST


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


def _walk(module: Record, path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, object]] = [("", module)]
    visited = 0
    while waiting:
        prefix, record = waiting.pop()
        state = getattr(record, "state", None)
        visited += 1
        if not isinstance(record, Record) or not isinstance(state, dict) or visited > MOST or len(prefix) > 200:
            raise UserError(f"{path.name} holds a module that is none of torch's; nothing in it was run")
        for name, tensor in [*_table(state, "_parameters"), *_table(state, "_buffers")]:
            if isinstance(tensor, Tensor | Pending):
                try:
                    tensors[prefix + name] = tensor.tensor() if isinstance(tensor, Pending) else tensor.detach()
                except Exception as error:  # sizes that no tensor can have
                    raise UserError(f"{path.name}: {prefix + name} is damaged: {error}") from error
        waiting.extend((f"{prefix}{name}.", each) for name, each in _table(state, "_modules"))
    return tensors


def _table(state: dict[str, object], name: str) -> list[tuple[str, object]]:
    held = state.get(name)
    return [(str(key), value) for key, value in held.items() if value is not None] if isinstance(held, dict) else []
