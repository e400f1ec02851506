"""Reads the arrays of one Keras file in a separate process, which a damaged file may block or fill without harm.

It is run as `python hdf5_reader.py FILE` and imports nothing from the package. It writes to standard output: the length
of a JSON text as 8 bytes, the text, then the elements of every array as little-endian float32, in the order of the
text. It reads three layouts, and runs no code from them: Keras' own until 2023 (`layer_names` and `weight_names`
attributes, in `.h5` files of weights or of whole models), Keras 3's `.weights.h5` (`layers/conv2d_1/vars/0`, also
written as `_layer_checkpoint_dependencies/…` by TensorFlow 2.12 and 2.13), and `.keras`, a zip archive with such a file
inside.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MAX_ARRAY = 2**27  # elements of one array; the largest of VGG16 has 103 million
MAX_FILE = 2**28  # elements of one file; VGG19 has 144 million
MAX_MEMBERS = 20_000  # groups and arrays
MAX_DEPTH = 16  # of nested groups
INNER = "model.weights.h5"  # file in a .keras archive
MEMORY = 3 * 2**30  # bytes
TRAINING_STATE = ("optimizer", "metrics", "compile_metrics")  # groups beside a Keras 3 network
RANDOM_STATE = "seed_generator"  # of dropout and random augmentation


class Refused(Exception):
    """A fault of the file, as text that follows the name of the file."""


def members(file: h5py.File) -> tuple[list[tuple[str, h5py.Dataset]], dict[str, str]]:
    """Arrays by name, and the names of a Keras 3 file's layers by their groups with a "/" at the end."""
    root: Any = file
    if file.get("model_weights", getlink=True) is not None:  # a saved model, not only its weights
        root = hard(file, "model_weights")
    if not isinstance(root, h5py.Group):
        raise Refused(" is HDF5, but its model_weights are not a group")
    if "layer_names" in root.attrs:
        return list(named(root)), {}
    if any(top.replace("\\", "/").split("/")[0] in ("layers", "_layer_checkpoint_dependencies") for top in root):
        layers: dict[str, str] = {}
        return list(walked(root, "", layers, [0])), layers
    raise Refused(
        " is HDF5, but not Keras weights: it has neither `layer_names` (Keras until 2023) nor `layers/` (Keras 3)"
    )


def named(root: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields the arrays that `layer_names` and `weight_names` list."""
    for layer in texts(root, "layer_names"):
        group = hard(root, layer)
        for name in texts(group, "weight_names"):
            yield name, array(hard(group, name), name)


def walked(group: h5py.Group, path: str, layers: dict[str, str], seen: list[int]) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields the arrays below a Keras 3 group by their paths, without the state of training."""
    for key in group:
        seen[0] += 1
        if seen[0] > MAX_MEMBERS or path.count("/") > MAX_DEPTH:
            raise Refused(" holds more groups than any network has")
        name = f"{path}/{key}".lstrip("/").replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")
        if name in TRAINING_STATE or key == RANDOM_STATE:
            continue
        member = hard(group, key)
        if isinstance(member, h5py.Group):
            if key == "vars" and isinstance(layer := member.attrs.get("name"), str):
                layers[name.removesuffix("vars")] = layer
            yield from walked(member, name, layers, seen)
        else:
            yield name, array(member, name)


def texts(group: Any, attribute: str) -> list[str]:
    """The names in an attribute."""
    names = np.asarray(group.attrs[attribute])
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def hard(group: Any, name: str) -> Any:
    """A member of a group. Links are not followed, since an external link would open another file of this machine."""
    for part in [name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise Refused(f": {name} is missing, or is a link, which is not followed")
        group = group[part]
    return group


def array(dataset: Any, name: str) -> h5py.Dataset:
    """Checks that a dataset is a plain array of numbers, of a size that a network can have."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual:
        raise Refused(f": {name} is not a plain array of numbers")
    if dataset.size is None or dataset.size > MAX_ARRAY:
        raise Refused(f": {name} has the shape {dataset.shape}, which is too large for any known network")
    return dataset


def opened(path: str) -> h5py.File:
    """Opens an HDF5 file, or the one inside a `.keras` archive."""
    if not zipfile.is_zipfile(path):
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        if INNER not in archive.namelist():
            raise Refused(f" is an archive without {INNER}")
        with archive.open(INNER) as member:
            content = member.read(4 * MAX_FILE + 1)
    if len(content) > 4 * MAX_FILE:
        raise Refused(f": {INNER} is larger than any network's")
    return h5py.File(io.BytesIO(content), "r")


def main(path: str) -> None:
    """Writes the arrays, or a JSON text with the fault; exits with status 1 if reading fails after the JSON text."""
    out = sys.stdout.buffer

    def write_header(header: dict[str, object]) -> None:
        text = json.dumps(header).encode()
        out.write(len(text).to_bytes(8, "little") + text)

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    except (ImportError, OSError, ValueError):
        pass  # Windows, or a lower limit is set already
    started = False
    try:
        with opened(path) as file:
            arrays, layers = members(file)
            names = [name for name, _ in arrays]
            if len(set(names)) != len(names):
                raise Refused(f" holds two weights called {next(name for name in names if names.count(name) > 1)}")
            if len(arrays) > MAX_MEMBERS or sum(dataset.size or 0 for _, dataset in arrays) > MAX_FILE:
                raise Refused(" declares more numbers than any known network")
            started = True
            write_header({"arrays": [[name, list(dataset.shape)] for name, dataset in arrays], "layers": layers})
            for _, dataset in arrays:
                out.write(np.ascontiguousarray(dataset[()], dtype="<f4").tobytes())
    except Exception as error:  # h5py raises almost anything on a damaged file, MemoryError too
        if started:
            sys.exit(1)  # the parent would read a text as numbers
        damaged = f" is not a complete HDF5 file of weights: {str(error) or type(error).__name__}"
        write_header({"error": str(error) if isinstance(error, Refused) else damaged})
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
