"""Where two networks of one architecture are compared: at the ends of their blocks, in the order in which they run.

A pass over an empty image tells the order, so that no family needs code of its own. Containers are opened level by
level while at most 13 blocks come of it: VGG16's convolutions, a ViT-B's patches and layers, the stages of a DenseNet
or an EfficientNet. A normalisation, an activation or a pooling belongs to the block before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cxrlens.errors import UserError
from cxrlens.explain.layers import as_map
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device

# What a network makes of images at the ends of its blocks, all of them in one pass.

BATCH = 16


def block_features(
    model: Classifier, points: Mapping[str, str], images: Tensor, device: Device, cells: int = 1
) -> dict[str, np.ndarray]:
    """The outputs of modules, averaged over their places: name → float32 [n, c · cells²].

    Averaging is a choice: it compares what is there and not where, and any size of map will do. Kornblith et al. 2019
    flatten the whole map; `cells` > 1 is between the two, a mean in each cell of a grid. What comes of it is float32
    even on a GPU: bfloat16 would round small changes away.

    Args:
        model: on `device`; it is run in evaluation mode and left as it was.
        points: name → name of a module that runs once in a pass, as the classifier calls it.
        images: [n, 1, size, size] in [0, 1].
        device: where.
        cells: of the grid, on a side.

    Raises:
        UserError: a module gives no map and no tokens.
    """
    found: dict[str, list[np.ndarray]] = {point: [] for point in points.values()}

    def keep(point: str, layer: nn.Module, output: object) -> None:
        found[point].append(as_features(output, layer, model, images, point, cells).cpu().numpy())

    with hooked(model, found, keep), torch.inference_mode():
        for some in images.split(BATCH):
            model.features(device.put(some))
    return {name: np.concatenate(found[point]) for name, point in points.items()}


def as_features(
    output: object, layer: nn.Module, model: Classifier, images: Tensor, name: str, cells: int = 1
) -> Tensor:
    """A layer's output averaged over the cells of a grid, [b, c · cells²]; a new tensor, whatever is done in place.

    Raises:
        UserError: it has no places.
    """
    if not isinstance(output, Tensor):
        raise UserError(f"the layer '{name}' gives a {type(output).__name__}; name one that gives a map or tokens")
    seen = as_map(output, layer, model, (images.shape[2], images.shape[3]), name)
    return nn.functional.adaptive_avg_pool2d(seen.float(), cells).flatten(1)


@contextmanager
def hooked(model: Classifier, names: Iterable[str], keep: Callable[[str, nn.Module, object], None]) -> Iterator[None]:
    """Calls `keep(name, module, output)` whenever a named module has run inside the `with`.

    The model is in evaluation mode there; hooks and modes are put back, whatever happens.
    """
    modes = [(module, module.training) for module in model.modules()]
    handles = []
    try:
        for name in names:
            handles.append(
                model.get_submodule(name).register_forward_hook(
                    lambda layer, given, output, name=name: keep(name, layer, output)
                )
            )
        model.eval()
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training


MOST, FEWEST = 13, 4


@dataclass(frozen=True)
class Block:
    """A stretch of a backbone.

    Attributes:
        name: of its module, as the backbone calls it; of its last where it is of several.
        point: whose output is the block's, as the classifier calls it; of the last block "backbone".
        owners: whose own parameters and statistics are the block's, as the classifier calls them.
    """

    name: str
    point: str
    owners: tuple[str, ...]


@dataclass(frozen=True)
class Passed:
    """A pass: the root's name, the order in which modules below it ended, and those that ended once, with features."""

    root: str
    order: dict[str, int]
    points: frozenset[str]


def find_blocks(model: Classifier) -> tuple[Block, ...]:
    """The blocks of a classifier's backbone, in order; the last one ends with the backbone's output.

    What the pass doesn't run, such as a head that was cut off, is in no block.
    """
    passed = _passed(model)
    groups = _groups(model, _opened(model, passed), passed) or [("", "backbone")]
    step = -(-len(groups) // MOST)
    ends = [group for place, group in enumerate(groups, start=1) if (len(groups) - place) % step == 0]
    ends[-1] = (ends[-1][0], "backbone")
    owners = _owners(model, passed, [passed.order[point] for _, point in ends[:-1]])
    short = len(passed.root) + 1
    return tuple(
        Block(name[short:] or "backbone", point, tuple(of)) for (name, point), of in zip(ends, owners, strict=True)
    )


def is_norm(module: nn.Module) -> bool:
    """Whether it is a normalisation layer, of any library."""
    own = sum(1 for _ in module.parameters(recurse=False))
    return "norm" in type(module).__name__.lower() and own == sum(1 for _ in module.parameters())


def _passed(model: Classifier) -> Passed:
    root = model.backbone.inner_path
    names = [name for name, _ in model.get_submodule(root).named_modules(prefix=root) if name != root]
    order: dict[str, int] = {}
    ends: list[str] = []
    points: set[str] = set()
    images = torch.zeros(2, 1, model.size, model.size, device=model.mean.device)

    def keep(name: str, layer: nn.Module, output: object) -> None:
        order.setdefault(name, len(order))
        ends.append(name)
        try:
            as_features(output, layer, model, images, name)
            points.add(name)
        except UserError:
            pass

    with hooked(model, names, keep), torch.no_grad():
        model.features(images)
    return Passed(root, order, frozenset(name for name in points if ends.count(name) == 1))


def _opened(model: Classifier, passed: Passed) -> list[str]:
    """Names of modules that aren't inside each other, as fine as they may be."""
    shut = _children(model, passed.root)
    while True:
        opened = [
            inner
            for name in shut
            for inner in (_children(model, name) if type(model.get_submodule(name)) is nn.Sequential else [name])
        ]
        few = len(_groups(model, shut, passed)) < FEWEST
        if opened == shut or (not few and len(_groups(model, opened, passed)) > MOST):
            return shut
        shut = opened


def _children(model: Classifier, name: str) -> list[str]:
    """A list of modules runs by its members alone."""
    found = []
    for inner, module in model.get_submodule(name).named_children():
        full = f"{name}.{inner}"
        found += _children(model, full) if isinstance(module, nn.ModuleList) else [full]
    return found


def _groups(model: Classifier, names: Sequence[str], passed: Passed) -> list[tuple[str, str]]:
    """(first module, last module with features) of each block, in order."""
    groups: list[tuple[str, str]] = []
    for name in sorted((name for name in names if name in passed.order), key=passed.order.__getitem__):
        module = model.get_submodule(name)
        full = any(True for _ in module.parameters())
        if full and (not groups or not is_norm(module)):
            groups.append((name, ""))
        if groups and name in passed.points:
            groups[-1] = (groups[-1][0], name)
    return [group for place, group in enumerate(groups, start=1) if group[1] or place == len(groups)]


def _owners(model: Classifier, passed: Passed, ends: Sequence[int]) -> list[list[str]]:
    """Which modules end up to each end, and after the last one."""
    found: list[list[str]] = [[] for _ in range(len(ends) + 1)]
    for name, module in model.get_submodule(passed.root).named_modules(prefix=passed.root):
        if not any(True for _ in module.parameters(recurse=False)) and not any(True for _ in module.buffers(False)):
            continue
        if name == passed.root:  # a ViT's tokens and positions, which come before its layers
            found[0].append(name)
            continue
        ran = name
        while ran not in passed.order and ran != passed.root:  # a parameter may be used by its module's parent
            ran = ran.rpartition(".")[0]
        if ran != passed.root:
            found[sum(end < passed.order[ran] for end in ends)].append(name)
    return found
