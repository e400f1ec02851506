"""Reads the arrays of one Keras file in a process of its own, which a damaged file may hang or fill without harm.

Run by path, as `python hdf5_reader.py FILE`; imports nothing of the package. On its standard output: the length of a
JSON text as 8 bytes, the text, then the numbers of every array as little-endian float32, in the order of the text.
Three layouts, none of which runs anything: Keras' own until 2023 (`layer_names` and `weight_names` attributes, in
`.h5` files of weights or of whole models), Keras 3's `.weights.h5` (`layers/conv2d_1/vars/0`, also written as
`_layer_checkpoint_dependencies/…` by TensorFlow 2.12 and 2.13), and `.keras`, a zip archive with such a file inside.
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

LARGEST = 2**27  # elements of one array: VGG16's largest has 103 million
ALTOGETHER = 2**28  # elements of a file; VGG19's has 144 million
MOST = 20_000  # groups and arrays
DEEPEST = 16  # groups inside each other
INNER = "model.weights.h5"  # of a .keras archive
MEMORY = 3 * 2**30  # bytes
TRAINING_STATE = ("optimizer", "metrics", "compile_metrics")  # groups beside a Keras 3 network
RANDOM_STATE = "seed_generator"  # of dropout and random augmentation


class Refused(Exception):
    """What is wrong with the file, in words that follow its name."""


def members(file: h5py.File) -> tuple[list[tuple[str, h5py.Dataset]], dict[str, str]]:
    """The arrays by name, and for a Keras 3 file what its layers are called: group + "/" → name."""
    root: Any = file
    if file.get("model_weights", getlink=True) is not None:  # a saved model, not its weights alone
        root = hard(file, "model_weights")
    if not isinstance(root, h5py.Group):
        raise Refused(" is HDF5, but its model_weights are no group")
    if "layer_names" in root.attrs:
        return list(named(root)), {}
    if any(top.replace("\\", "/").split("/")[0] in ("layers", "_layer_checkpoint_dependencies") for top in root):
        layers: dict[str, str] = {}
        return list(walked(root, "", layers, [0])), layers
    raise Refused(
        " is HDF5, but not Keras weights: it has neither `layer_names` (Keras until 2023) nor `layers/` (Keras 3)"
    )


def named(root: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays that `layer_names` and `weight_names` name."""
    for layer in texts(root, "layer_names"):
        group = hard(root, layer)
        for name in texts(group, "weight_names"):
            yield name, array(hard(group, name), name)


def walked(group: h5py.Group, path: str, layers: dict[str, str], seen: list[int]) -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays below a Keras 3 group under their paths; what only training needs is passed over."""
    for key in group:
        seen[0] += 1
        if seen[0] > MOST or path.count("/") > DEEPEST:
            raise Refused(" holds more groups than any network has")
        name = f"{path}/{key}".lstrip("/").replace("\\", "/").replace("_layer_checkpoint_dependencies", "layers")
        if name in TRAINING_STATE or key == RANDOM_STATE:
            continue
        member = hard(group, key)
        if isinstance(member, h5py.Group):
            if key == "vars" and isinstance(called := member.attrs.get("name"), str):
                layers[name.removesuffix("vars")] = called
            yield from walked(member, name, layers, seen)
        else:
            yield name, array(member, name)


def texts(group: Any, attribute: str) -> list[str]:
    """An attribute that lists names."""
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.asarray(group.attrs[attribute])]


def hard(group: Any, name: str) -> Any:
    """A member, without following a link: an external link would open another file of this machine."""
    for part in [name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise Refused(f": {name} is missing, or is a link, which is not followed")
        group = group[part]
    return group


def array(dataset: Any, name: str) -> h5py.Dataset:
    """A dataset that is a plain array of numbers, of a size that a network can have."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual:
        raise Refused(f": {name} is not a plain array of numbers")
    if dataset.size is None or dataset.size > LARGEST:
        raise Refused(f": {name} says it has {dataset.shape} elements, which no known network has")
    return dataset


def opened(path: str) -> h5py.File:
    """The HDF5 file, or the one inside a `.keras` archive."""
    if not zipfile.is_zipfile(path):
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        if INNER not in archive.namelist():
            raise Refused(f" is an archive without {INNER}")
        with archive.open(INNER) as member:
            content = member.read(4 * ALTOGETHER + 1)
    if len(content) > 4 * ALTOGETHER:
        raise Refused(f": {INNER} is larger than any network's")
    return h5py.File(io.BytesIO(content), "r")


def main(path: str) -> None:
    """Writes what is read, or one JSON text with what is wrong; exit status 1 where the numbers end too early."""
    out = sys.stdout.buffer

    def write_header(header: dict[str, object]) -> None:
        text = json.dumps(header).encode()
        out.write(len(text).to_bytes(8, "little") + text)

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    except (ImportError, OSError, ValueError):
        pass  # Windows, or a lower limit that is set already
    started = False
    try:
        with opened(path) as file:
            arrays, layers = members(file)
            names = [name for name, _ in arrays]
            if len(set(names)) != len(names):
                raise Refused(f" holds two weights called {next(name for name in names if names.count(name) > 1)}")
            if len(arrays) > MOST or sum(each.size or 0 for _, each in arrays) > ALTOGETHER:
                raise Refused(" says it holds more numbers than any known network")
            started = True
            write_header({"arrays": [[name, list(each.shape)] for name, each in arrays], "layers": layers})
            for _, each in arrays:
                out.write(np.ascontiguousarray(each[()], dtype="<f4").tobytes())
    except Exception as error:  # h5py raises almost anything on a damaged file, MemoryError too
        if started:
            sys.exit(1)  # a text would be taken for numbers
        damaged = f" is not a whole HDF5 file of weights: {str(error) or type(error).__name__}"
        write_header({"error": str(error) if isinstance(error, Refused) else damaged})
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
