"""What a network makes of images at the ends of its blocks, all of them in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

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
