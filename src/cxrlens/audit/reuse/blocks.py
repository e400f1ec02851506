"""The blocks of a network, in the order in which they run, and the features at their ends.

Two networks of one architecture are compared at the ends of their blocks. A pass over an empty image gives the order of
the modules, so that no architecture needs its own code. Containers are split level by level while this gives at most 13
blocks: VGG16's convolutions, a ViT-B's patch embedding and layers, the stages of a DenseNet or an EfficientNet. A
normalisation, an activation or a pooling layer belongs to the block before it.
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

BATCH = 16


def block_features(
    model: Classifier, points: Mapping[str, str], images: Tensor, device: Device, cells: int = 1
) -> dict[str, np.ndarray]:
    """Outputs of modules, averaged over the positions of the map, all in one pass: name → float32 [n, c · cells²].

    Averages compare what the features are, not where, and do not depend on the size of the map. Kornblith et al. 2019
    flatten the whole map. `cells` > 1 lies between the two: a mean in each cell of a grid. The pass is in float32 even
    on
    a GPU, because bfloat16 would round small changes away.

    Args:
        model: network on `device`; it runs in evaluation mode and is left as it was.
        points: name → path of a module in the classifier that runs once in a pass.
        images: images, [n, 1, size, size] in [0, 1].
        device: device of the network.
        cells: number of cells along a side of the grid.

    Raises:
        UserError: a module's output is neither a map nor tokens.
    """
    outputs: dict[str, list[np.ndarray]] = {point: [] for point in points.values()}

    def keep(point: str, layer: nn.Module, output: object) -> None:
        outputs[point].append(as_features(output, layer, model, images, point, cells).cpu().numpy())

    with hooked(model, outputs, keep), torch.inference_mode():
        for batch in images.split(BATCH):
            model.features(device.put(batch))
    return {name: np.concatenate(outputs[point]) for name, point in points.items()}


def as_features(
    output: object, layer: nn.Module, model: Classifier, images: Tensor, name: str, cells: int = 1
) -> Tensor:
    """A layer's output averaged over the cells of a grid, [b, c · cells²]; a new tensor, safe from in-place operations.

    Raises:
        UserError: the output is neither a map nor tokens.
    """
    if not isinstance(output, Tensor):
        raise UserError(f"the layer '{name}' returns a {type(output).__name__}; name one that returns a map or tokens")
    feature_map = as_map(output, layer, model, (images.shape[2], images.shape[3]), name)
    return nn.functional.adaptive_avg_pool2d(feature_map.float(), cells).flatten(1)


@contextmanager
def hooked(model: Classifier, names: Iterable[str], keep: Callable[[str, nn.Module, object], None]) -> Iterator[None]:
    """Within the `with`, calls `keep(name, module, output)` whenever a named module has run.

    The model is in evaluation mode there. Afterwards its hooks and modes are restored, even after an error.
    """
    modes = [(module, module.training) for module in model.modules()]
    handles = []
    try:
        for name in names:
            handles.append(
                model.get_submodule(name).register_forward_hook(
                    lambda layer, inputs, output, name=name: keep(name, layer, output)
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
    """A block of a backbone.

    Attributes:
        name: path of its module in the backbone; that of the last one where it has several modules.
        point: path in the classifier of the module whose output is the block's; "backbone" for the last block.
        owners: paths in the classifier of the modules whose own parameters and statistics belong to the block.
    """

    name: str
    point: str
    owners: tuple[str, ...]


@dataclass(frozen=True)
class ForwardPass:
    """The record of a forward pass.

    Attributes:
        root: path of the backbone in the classifier.
        order: path of a module below the root → its rank in the order in which the modules ended.
        points: paths of the modules that ran once and returned features.
    """

    root: str
    order: dict[str, int]
    points: frozenset[str]


def find_blocks(model: Classifier) -> tuple[Block, ...]:
    """The blocks of a classifier's backbone, in order; the last block ends with the backbone's output.

    Modules that do not run, such as a head that was removed, are in no block.
    """
    run = _forward_pass(model)
    groups = _groups(model, _split(model, run), run) or [("", "backbone")]
    step = -(-len(groups) // MOST)
    ends = [group for number, group in enumerate(groups, start=1) if (len(groups) - number) % step == 0]
    ends[-1] = (ends[-1][0], "backbone")
    owners = _owners(model, run, [run.order[point] for _, point in ends[:-1]])
    short = len(run.root) + 1
    return tuple(
        Block(name[short:] or "backbone", point, tuple(modules))
        for (name, point), modules in zip(ends, owners, strict=True)
    )


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer of any library."""
    own = sum(1 for _ in module.parameters(recurse=False))
    return "norm" in type(module).__name__.lower() and own == sum(1 for _ in module.parameters())


def _forward_pass(model: Classifier) -> ForwardPass:
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
    return ForwardPass(root, order, frozenset(name for name in points if ends.count(name) == 1))


def _split(model: Classifier, run: ForwardPass) -> list[str]:
    """Paths of modules that do not contain each other, split as finely as possible."""
    modules = _children(model, run.root)
    while True:
        split = [
            inner
            for name in modules
            for inner in (_children(model, name) if type(model.get_submodule(name)) is nn.Sequential else [name])
        ]
        few = len(_groups(model, modules, run)) < FEWEST
        if split == modules or (not few and len(_groups(model, split, run)) > MOST):
            return modules
        modules = split


def _children(model: Classifier, name: str) -> list[str]:
    """Paths of the children; a list of modules stands for its members, since only these run."""
    paths = []
    for inner, module in model.get_submodule(name).named_children():
        full = f"{name}.{inner}"
        paths += _children(model, full) if isinstance(module, nn.ModuleList) else [full]
    return paths


def _groups(model: Classifier, names: Sequence[str], run: ForwardPass) -> list[tuple[str, str]]:
    """(first module, last module with features) of each block, in order."""
    groups: list[tuple[str, str]] = []
    for name in sorted((name for name in names if name in run.order), key=run.order.__getitem__):
        module = model.get_submodule(name)
        has_parameters = any(True for _ in module.parameters())
        if has_parameters and (not groups or not is_norm(module)):
            groups.append((name, ""))
        if groups and name in run.points:
            groups[-1] = (groups[-1][0], name)
    return [group for number, group in enumerate(groups, start=1) if group[1] or number == len(groups)]


def _owners(model: Classifier, run: ForwardPass, ends: Sequence[int]) -> list[list[str]]:
    """The modules that end before each of `ends`, and after the last one."""
    of_blocks: list[list[str]] = [[] for _ in range(len(ends) + 1)]
    for name, module in model.get_submodule(run.root).named_modules(prefix=run.root):
        if not any(True for _ in module.parameters(recurse=False)) and not any(True for _ in module.buffers(False)):
            continue
        if name == run.root:  # a ViT's tokens and positions, which come before its layers
            of_blocks[0].append(name)
            continue
        ran = name
        while ran not in run.order and ran != run.root:  # a parameter may be used by the parent of its module
            ran = ran.rpartition(".")[0]
        if ran != run.root:
            of_blocks[sum(end < run.order[ran] for end in ends)].append(name)
    return of_blocks
