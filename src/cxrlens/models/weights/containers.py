"""The tensors in a file, by what the file is rather than by its name, and without running anything that is in it."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from cxrlens.errors import UserError
from cxrlens.models.weights.legacy_module import MAGIC, Pending, Record, read_legacy_module

Kind = Literal["hdf5", "safetensors", "torch", "torch module"]

HDF5 = b"\x89HDF\r\n\x1a\n"
LARGEST = 2**28  # elements of one tensor: VGG16's largest has 103 million
MOST = 20_000  # tensors and modules of one file

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
        metadata: texts that a safetensors file holds beside them.
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
    if start.startswith(HDF5):
        return Contents("hdf5", _hdf5(path))
    if _is_safetensors(start) or path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return Contents("safetensors", load_file(path), file.metadata() or {})
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{path.name} is not a whole safetensors file: {error}") from error
    return _torch(path)


def _is_safetensors(start: bytes) -> bool:
    return len(start) > 9 and start[8:10] == b'{"' and struct.unpack("<Q", start[:8])[0] < 100 * 2**20


def _hdf5(path: Path) -> dict[str, Tensor]:
    """Weights under the names that Keras' `weight_names` attributes give them; every dataset must be named there."""
    try:
        with h5py.File(path, "r") as file:
            whole = file.get("model_weights", getlink=True) is not None  # a saved model, not its weights alone
            root = _hard(file, "model_weights", path) if whole else file
            if not isinstance(root, h5py.Group) or "layer_names" not in root.attrs:
                raise UserError(f"{path.name} is HDF5, but not Keras weights: its layer_names are missing")
            tensors: dict[str, Tensor] = {}
            for layer in _names(root, "layer_names"):
                group = _hard(root, layer, path)
                for name in _names(group, "weight_names"):
                    if name in tensors:
                        raise UserError(f"{path.name} holds two weights called {name}")
                    tensors[name] = _array(_hard(group, name, path), name, path)
            return tensors
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{path.name} is not a whole HDF5 file of weights: {error}") from error


def _names(group: Any, attribute: str) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.asarray(group.attrs[attribute])]


def _hard(group: Any, name: str, path: Path) -> Any:
    """A member, without following a link: an external link would open another file of this machine."""
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise UserError(f"{path.name}: {name} is missing, or is a link, which is not followed")
        group = group[part]
    return group


def _array(found: Any, name: str, path: Path) -> Tensor:
    if not isinstance(found, h5py.Dataset) or found.dtype.kind != "f" or found.external or found.is_virtual:
        raise UserError(f"{path.name}: {name} is not a plain array of numbers")
    if found.size is None or found.size > LARGEST:
        raise UserError(f"{path.name}: {name} says it has {found.shape} elements, which no known network has")
    return torch.from_numpy(np.asarray(found[()], dtype=np.float32))


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
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]  # a training checkpoint: its optimiser is not wanted
    table = isinstance(found, dict) and all(isinstance(name, str) for name in found)
    if not table or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path.name} holds something other than a table of tensors: save the state dict alone")
    return Contents("torch", {name: tensor.detach() for name, tensor in found.items()})


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
