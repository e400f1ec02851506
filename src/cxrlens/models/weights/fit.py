"""Whether a file's tensors are all of a network's and no others, also where wrappers put a prefix before every name.

`DataParallel` writes `module.conv1.weight`, `torch.compile` `_orig_mod.conv1.weight`, a class of the user's own
`model.conv1.weight` or `net.encoder.conv1.weight`. A prefix is taken off only where every name has it, and only where
all that is left fits: a part of a network is never loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from cxrlens.models.backbones import Backbone
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import Converted, convert

ANYWHERE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")  # PyTorch's own wrappers
MOST = 8  # prefixes of a name


def misfits(converted: Converted, backbone: Backbone) -> dict[str, list[str]]:
    """What is wrong with tensors for a backbone: fault → names; empty where they can be loaded."""
    wanted = backbone.inner.state_dict()
    kept = needed(converted, backbone)
    faults = {
        # num_batches_tracked: bookkeeping of BatchNorm that no output depends on; older files lack it.
        "missing": [name for name in wanted if name not in kept and not name.endswith("num_batches_tracked")],
        "left over": [name for name in kept if name not in wanted],
        "of another shape": [name for name in kept if name in wanted and kept[name].shape != wanted[name].shape],
        "not finite": [name for name in kept if kept[name].is_floating_point() and not kept[name].isfinite().all()],
    }
    return {fault: names for fault, names in faults.items() if names}


def needed(converted: Converted, backbone: Backbone) -> dict[str, Tensor]:
    """The tensors without those that published weights hold and a backbone has no use for, such as the classifier."""
    dropped = backbone.dropped or ("\0",)
    return {name: tensor for name, tensor in converted.tensors.items() if not name.startswith(dropped)}


def convert_for(contents: Contents, backbone: Backbone) -> Converted:
    """The tensors under timm's names, with the prefix taken off that lets all of them fit the backbone.

    Returns:
        What fits, or else what comes nearest, with advice where a part of the file would fit.
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
    """The contents as they are, then with one more prefix that all names share taken off each time."""
    yield contents
    if contents.kind not in ("torch", "safetensors") or not contents.tensors:
        return
    names = {name: _bare(name) for name in contents.tensors}
    if len(set(names.values())) < len(names):
        return
    if any(name != bare for name, bare in names.items()):
        yield _renamed(contents, names)
    for _ in range(MOST):
        first = {bare.partition(".")[0] for bare in names.values()}
        if len(first) > 1 or any("." not in bare for bare in names.values()):
            return
        names = {name: bare.partition(".")[2] for name, bare in names.items()}
        yield _renamed(contents, names)


def _bare(name: str) -> str:
    for wrapper in ANYWHERE:
        name = name.replace(wrapper, "")
    return name


def _renamed(contents: Contents, names: dict[str, str]) -> Contents:
    return Contents(contents.kind, {names[name]: tensor for name, tensor in contents.tensors.items()})


def _advice(contents: Contents, backbone: Backbone) -> str:
    """Which part of a file is this network whole, for one who saved it with other parts beside it; else ""."""
    if contents.kind not in ("torch", "safetensors"):
        return ""
    parts = Counter(
        ".".join(parts[:depth])
        for parts in (name.split(".") for name in contents.tensors)
        for depth in range(1, min(len(parts), MOST))
    )
    least = len([name for name in backbone.state_dict() if not name.endswith("num_batches_tracked")])
    for part in [part for part, count in parts.most_common(40) if least <= count < len(contents.tensors)]:
        inside = {name: tensor for name, tensor in contents.tensors.items() if name.startswith(f"{part}.")}
        whole = Contents(contents.kind, {name.removeprefix(f"{part}."): tensor for name, tensor in inside.items()})
        converted = convert(whole)
        if converted.architecture in (None, backbone.architecture) and not misfits(converted, backbone):
            others = [name for name in contents.tensors if name not in inside]
            return (
                f"'{part}' in it is this network whole, beside {len(others)} others ({', '.join(others[:3])}…): "
                "save that part alone"
            )
    return ""
