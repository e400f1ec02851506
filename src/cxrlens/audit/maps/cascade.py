"""Making a network forget, from the top (Adebayo et al. 2018, arXiv:1810.03292)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from cxrlens.models.classifier import Classifier, seeded

BLOCKS = 7  # most groups of the backbone; the head is one more


@dataclass(frozen=True)
class Depth:
    """What is made random together: the modules whose own parameters these are, by name."""

    name: str
    modules: tuple[str, ...]


def depths(model: Classifier) -> tuple[Depth, ...]:
    """The head, then the backbone's blocks from the last to the first, at most 8 in all.

    Blocks are the network's outer modules. One that holds more than half of all layers (a DenseNet's `features`, a
    ViT's `blocks`) is taken apart, and neighbours are joined, the smallest first, until few enough are left.
    """
    start = model.backbone.inner_path
    opened, blocks = [start], _children(model, start)
    total = sum(len(_owners(model, each)) for each in blocks)
    while blocks:
        largest = max(blocks, key=lambda each: len(_owners(model, each)))
        inner = _children(model, largest)
        if not inner or (len(blocks) >= 3 and 2 * len(_owners(model, largest)) <= total):
            break
        opened.append(largest)
        place = blocks.index(largest)
        blocks[place : place + 1] = inner
    groups = [[each] for each in blocks]
    while len(groups) > BLOCKS:
        sizes = [sum(len(_owners(model, each)) for each in group) for group in groups]
        first = min(range(len(groups) - 1), key=lambda place: sizes[place] + sizes[place + 1])
        groups[first : first + 2] = [groups[first] + groups[first + 1]]
    found = [Depth(_title(group, start), sum((_owners(model, each) for each in group), ())) for group in groups]
    # What a taken apart module holds itself (a ViT's position embedding) belongs to the network's entry.
    own = tuple(name for name in opened if name in _owners(model, name))
    if own:
        entry = found.pop(0) if found else Depth("backbone", ())
        found.insert(0, Depth(entry.name, (*own, *entry.modules)))
    head = Depth("the head", _owners(model, "head"))  # ConvNeXt calls a block of its own "head"
    return tuple(each for each in (head, *reversed(found)) if each.modules)


def randomise(model: Classifier, depth: Depth, seed: int) -> None:
    """Draws the parameters of a depth anew, in place: give it a copy.

    A module's own `reset_parameters` where it has one (a BatchNorm then forgets its statistics as well); else normal
    numbers with the tensor's own mean and standard deviation, so that no branch is cut or blown up.

    Args:
        model: whose modules they are.
        depth: of `depths(model)`.
        seed: torch's global generator is left as it was.
    """
    with seeded(seed), torch.no_grad():
        for name in depth.modules:
            module = model.get_submodule(name)
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for each in module.parameters(recurse=False):
                each.copy_(torch.randn_like(each) * each.std(correction=0) + each.mean())


def _children(model: nn.Module, name: str) -> list[str]:
    """Names of the direct children that have parameters."""
    return [
        f"{name}.{child}"
        for child, _ in model.get_submodule(name).named_children()
        if _owners(model, f"{name}.{child}")
    ]


def _owners(model: nn.Module, name: str) -> tuple[str, ...]:
    """Names of the modules, this one among them, that have parameters of their own."""
    inside = model.get_submodule(name).named_modules(prefix=name)
    return tuple(each for each, module in inside if any(True for _ in module.parameters(recurse=False)))


def _title(group: list[str], start: str) -> str:
    ends = [each.removeprefix(f"{start}.") for each in (group[0], group[-1])]
    return ends[0] if len(group) == 1 else f"{ends[0]} to {ends[1]}"
