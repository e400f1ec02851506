"""A whole module pickled by PyTorch before 1.6, as torchxrayvision's release files are, read as data.

PyTorch's own safe reader refuses modules in that format. Here every name in the pickle is looked up in a short list of
inert stand-ins, and nothing else can be reached: no import, no attribute, no function of any library.
The layout (torch/serialization.py, `_legacy_save`): a magic number, a version, a table of sizes, the object, the keys
of its storages, then for each key the number of elements and the elements.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

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
