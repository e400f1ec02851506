"""A forward pass that ends at the last layer asked for: what lies behind it costs nothing, in time or in graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from cxrlens.errors import UserError, near_miss
from cxrlens.explain.activation_maximization.objectives import LOGIT, Objective
from cxrlens.models.classifier import Classifier

Measure = Callable[[Tensor], dict[str, Tensor]]


class _Reached(Exception):
    """Every layer asked for has run."""


@contextmanager
def measuring(model: Classifier, objectives: Iterable[Objective]) -> Iterator[Measure]:
    """Within the block, the given function tells what the channels of the objectives' layers do on images.

    The model is in evaluation mode, and its pass ends at the last of the layers.

    A layer is named as in the backbone's network (`conv_head`, `features.norm5`), or as in the classifier (`head.0`). A
    module that runs more than once in a pass counts the first time. A layer gives a map [b, c, h, w] (a network that
    keeps its channels last: [b, h, w, c]), tokens [b, n, c] or a vector [b, c]; the mean is over all but b and c.

    Args:
        model: left as it was found: modes, gradients, hooks.
        objectives: all that will be asked.

    Yields:
        images [b, 3 or 1, size, size] as `(x - mean) / std` wants them → each layer's channel means [b, c].

    Raises:
        UserError: no layer has that name; when measuring, it gives no map, tokens or vector.
    """
    layers = sorted({layer for objective in objectives for layer in objective.layers} - {LOGIT})
    modules = {layer: find_module(model, layer) for layer in layers}
    whole = any(LOGIT in objective.layers for objective in objectives)
    means: dict[str, Tensor] = {}

    def keep(layer: str, module: nn.Module, output: Any) -> None:
        if layer not in means:
            # Reduced at once: a later in-place ReLU may overwrite the map itself.
            means[layer] = _channel_means(layer, output, _keeps_channels_last(model, module))
        if not whole and len(means) == len(modules):
            raise _Reached

    def measure(images: Tensor) -> dict[str, Tensor]:
        means.clear()
        with suppress(_Reached):
            means[LOGIT] = model.logits(model.backbone(model.prepare(images)))[:, None]
        found = dict(means)
        means.clear()  # or the graph would live on
        return found

    modes = {module: module.training for module in model.modules()}
    handles = [
        module.register_forward_hook(lambda module, _, output, layer=layer: keep(layer, module, output))
        for layer, module in modules.items()
    ]
    model.eval()
    try:
        yield measure
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode


def find_module(model: Classifier, layer: str) -> nn.Module:
    """The module of a name.

    Raises:
        UserError: there is none; the nearest is named.
    """
    network = model.backbone.inner
    inside = {name: module for name, module in network.named_modules() if name}
    known = {**{name: module for name, module in model.named_modules() if name}, **inside}
    if layer not in known:
        raise UserError(near_miss("layer", layer, [LOGIT, *inside, *(name for name in known if name[:4] == "head")]))
    return known[layer]


def _keeps_channels_last(model: Classifier, module: nn.Module) -> bool:
    network = model.backbone.inner
    last = getattr(network, "output_fmt", "NCHW") == "NHWC" and not isinstance(module, nn.Conv2d)
    return last and any(each is module for each in network.modules())


def _channel_means(layer: str, output: Any, channels_last: bool) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"layer '{layer}' has to give a map, tokens or a vector; it gives {came}")
    if output.ndim == 4:
        return output.mean((1, 2) if channels_last else (2, 3))
    return output.mean(1) if output.ndim == 3 else output
