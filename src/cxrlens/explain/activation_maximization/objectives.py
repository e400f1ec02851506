"""What is maximised: the logit, a channel of a layer, several at once, or one against another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cxrlens.config import Config
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError, near_miss
from cxrlens.explain.base import evaluating, select
from cxrlens.explain.layers import as_map, captured, find_layer
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress

LOGIT = "logit"


class Unit(Config):
    """One channel of one layer, averaged over its map.

    Attributes:
        layer: "logit", or the name of a module (see `measuring`).
        channel: which of its channels, from 0; the logit has one.
        weight: what the mean is multiplied by; negative to have less of it.
    """

    layer: str = Field(default=LOGIT, min_length=1)
    channel: int = Field(default=0, ge=0)
    weight: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _the_logit_is_one(self) -> Unit:
        if self.layer == LOGIT and self.channel:
            raise ValueError("there is one logit, channel 0")
        return self

    @property
    def title(self) -> str:
        """For a person, such as "conv_head 17"."""
        return LOGIT if self.layer == LOGIT else f"{self.layer} {self.channel}"


class Objective(Config):
    """A weighted sum of units.

    >>> (Objective.channel("conv_head", 17) - 0.5 * Objective.logit()).title
    'conv_head 17 - 0.5 logit'
    """

    units: tuple[Unit, ...] = Field(min_length=1)

    @classmethod
    def logit(cls) -> Objective:
        """The network's output, before the sigmoid."""
        return cls(units=(Unit(),))

    @classmethod
    def channel(cls, layer: str, channel: int) -> Objective:
        """The mean over the map of one channel of a layer."""
        return cls(units=(Unit(layer=layer, channel=channel),))

    def __add__(self, other: Objective) -> Objective:
        return Objective(units=(*self.units, *other.units))

    def __sub__(self, other: Objective) -> Objective:
        return self + -1.0 * other

    def __rmul__(self, factor: float) -> Objective:
        return Objective(units=tuple(each.model_copy(update={"weight": factor * each.weight}) for each in self.units))

    @property
    def layers(self) -> frozenset[str]:
        """The layers that it asks."""
        return frozenset(unit.layer for unit in self.units)

    @property
    def title(self) -> str:
        """For a person."""
        words: list[str] = []
        for unit in self.units:
            size = "" if abs(unit.weight) == 1 else f"{abs(unit.weight):g} "
            sign = "- " if unit.weight < 0 else "+ " if words else ""
            words.append(f"{sign}{size}{unit.title}")
        return " ".join(words)


def value_of(objective: Objective, means: Mapping[str, Tensor]) -> Tensor:
    """One objective on every image of a batch.

    Args:
        objective: any.
        means: of each layer that it asks, its channels' means [b, c].

    Returns:
        [b].

    Raises:
        UserError: a layer did not run, or has no such channel.
    """
    for unit in objective.units:
        if unit.layer not in means:
            raise UserError(f"layer '{unit.layer}' never runs in this network's forward pass; name another")
        if unit.channel >= means[unit.layer].shape[1]:
            most = means[unit.layer].shape[1] - 1
            raise UserError(f"layer '{unit.layer}' has channels 0 to {most}; got {unit.channel}")
    parts = [unit.weight * means[unit.layer][:, unit.channel] for unit in objective.units]
    return torch.stack(parts).sum(0)


def values_of(rows: Sequence[Objective], means: Mapping[str, Tensor]) -> Tensor:
    """[b]: of each image its own objective, one a row."""
    return torch.stack([value_of(objective, means)[row] for row, objective in enumerate(rows)])


# A forward pass that ends at the last layer asked for: what lies behind it costs nothing, in time or in graph.

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


# Which channels of a layer Figure 3 shows: those that move the logit most, or a random few.


def contributions(model: Classifier, images: Tensor, layer: str, batch: int = 8, progress: Progress = SILENT) -> Tensor:
    """What each channel of a layer adds to the logit: its map times the logit's gradient by it, summed over the map.

    Args:
        model: of one logit; left as it was found.
        images: float [n, 1, h, w] in [0, 1].
        layer: a name from `model.named_modules()`.
        batch: images in one pass.
        progress: who watches.

    Returns:
        float32 [n, c]. Where only linear layers follow, a row sums to the logit less the biases' part.
    """
    found, size = [], (images.shape[2], images.shape[3])
    module = find_layer(model, layer)
    with torch.enable_grad(), evaluating(model), progress.task("effect of units", len(images)) as task:
        for some in images.split(batch):
            with captured(module) as seen:
                logits = model(some.to(model.mean))
                gradient = torch.autograd.grad(select(logits, None).sum(), seen[0])[0]
            maps = [as_map(each.detach(), module, model, size, layer) for each in (seen[0], gradient)]
            found.append((maps[0] * maps[1]).sum((2, 3)).float().cpu())
            task.update(sum(map(len, found)))
    return torch.cat(found)


def choose_units(added: Tensor, count: int, by: Literal["effect", "seed"], seed: int) -> list[int]:
    """Channels for Figure 3.

    Args:
        added: see `contributions`, [n, c].
        count: how many, or all there are.
        by: "effect": the largest mean |contribution|, the largest first; "seed": at random, in order.
        seed: of the random choice.

    >>> choose_units(torch.tensor([[0.0, -3.0, 1.0], [0.0, 3.0, 1.0]]), 2, "effect", 0)
    [1, 2]
    """
    channels = added.shape[1]
    count = min(count, channels)
    if by == "effect":
        return added.abs().mean(0).argsort(descending=True, stable=True)[:count].tolist()
    return sorted(generator(seed).choice(channels, count, replace=False).tolist())
