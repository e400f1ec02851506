"""Checks that a file's tensors are exactly those of a network, and removes the prefixes that wrappers add to names.

`DataParallel` writes `module.conv1.weight`, `torch.compile` writes `_orig_mod.conv1.weight`, and a user's own class
writes `model.conv1.weight` or `net.encoder.conv1.weight`. A prefix is removed only if every name has it and all tensors
then fit. A part of a network is never loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from cxrlens.models.backbones import Backbone
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import Converted, convert
from cxrlens.text import many

WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")  # PyTorch's, anywhere in a name
MAX_PREFIXES = 8


def misfits(converted: Converted, backbone: Backbone) -> dict[str, list[str]]:
    """Faults of tensors for a backbone, with the names of the tensors; empty if the tensors can be loaded."""
    own = backbone.inner.state_dict()
    loaded = needed(converted, backbone)
    faults = {
        # num_batches_tracked counts BatchNorm's batches; no output depends on it, and older files lack it.
        "missing": [name for name in own if name not in loaded and not name.endswith("num_batches_tracked")],
        "left over": [name for name in loaded if name not in own],
        "of another shape": [name for name in loaded if name in own and loaded[name].shape != own[name].shape],
        "not finite": [name for name, values in loaded.items() if values.is_floating_point() and not _finite(values)],
    }
    return {fault: names for fault, names in faults.items() if names}


def _finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())


def needed(converted: Converted, backbone: Backbone) -> dict[str, Tensor]:
    """Tensors that the backbone needs: those of a file without, for example, its classifier."""
    dropped = backbone.dropped or ("\0",)
    return {name: tensor for name, tensor in converted.tensors.items() if not name.startswith(dropped)}


def convert_for(contents: Contents, backbone: Backbone) -> Converted:
    """Converts tensors to timm's names, without a prefix that all names share.

    Returns:
        The tensors that fit the backbone; if none do, those with the fewest faults, with advice if a part of the file
        would fit.
    """
    nearest, fewest = None, 0
    for candidate in _unwrapped(contents):
        converted = convert(candidate)
        if converted.architecture in (None, backbone.architecture):
            count = sum(map(len, misfits(converted, backbone).values()))
            if not count:
                return converted
            if nearest is None or count < fewest:
                nearest, fewest = converted, count
    if nearest is None:
        return convert(contents)
    return replace(nearest, advice=_advice(contents, backbone) or nearest.advice)


def _unwrapped(contents: Contents) -> Iterator[Contents]:
    """Yields the contents, then the contents without the first common prefix, without the first two, and so on."""
    yield contents
    if contents.kind not in ("torch", "safetensors") or not contents.tensors:
        return
    names = {name: _bare(name) for name in contents.tensors}
    if len(set(names.values())) < len(names):
        return
    if any(name != bare for name, bare in names.items()):
        yield _renamed(contents, names)
    for _ in range(MAX_PREFIXES):
        first = {bare.partition(".")[0] for bare in names.values()}
        if len(first) > 1 or any("." not in bare for bare in names.values()):
            return
        names = {name: bare.partition(".")[2] for name, bare in names.items()}
        yield _renamed(contents, names)


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _renamed(contents: Contents, names: dict[str, str]) -> Contents:
    return Contents(contents.kind, {names[name]: tensor for name, tensor in contents.tensors.items()})


def _advice(contents: Contents, backbone: Backbone) -> str:
    """Advice for a file in which one part is the complete network beside other parts; else ""."""
    if contents.kind not in ("torch", "safetensors"):
        return ""
    parts = Counter(
        ".".join(parts[:depth])
        for parts in (name.split(".") for name in contents.tensors)
        for depth in range(1, min(len(parts), MAX_PREFIXES))
    )
    smallest = len([name for name in backbone.state_dict() if not name.endswith("num_batches_tracked")])
    for part in [part for part, count in parts.most_common(40) if smallest <= count < len(contents.tensors)]:
        members = {name: tensor for name, tensor in contents.tensors.items() if name.startswith(f"{part}.")}
        bare = {name.removeprefix(f"{part}."): tensor for name, tensor in members.items()}
        converted = convert(Contents(contents.kind, bare))
        if converted.architecture in (None, backbone.architecture) and not misfits(converted, backbone):
            others = [name for name in contents.tensors if name not in members]
            return (
                f"its part '{part}' is this complete network, beside "
                f"{many(len(others), 'other tensor')} ({', '.join(others[:3])}…): save that part alone"
            )
    return ""
