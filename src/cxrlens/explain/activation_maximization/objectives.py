"""The objectives that are maximised: the logit, a channel of a layer, or weighted sums of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cxrlens.arguments import checked
from cxrlens.config import Config
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError, near_miss
from cxrlens.explain.base import evaluating, select
from cxrlens.explain.layers import as_map, captured, find_layer
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress

LOGIT = "logit"


class Unit(Config):
    """One channel of one layer; its value is the mean over its map.

    Attributes:
        layer: "logit", or the name of a module (see `measuring`).
        channel: index of the channel, from 0; the logit has one channel.
        weight: factor of the mean in an objective; a negative one minimises the channel.
    """

    layer: str = Field(default=LOGIT, min_length=1)
    channel: int = Field(default=0, ge=0)
    weight: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check_channel(self) -> Unit:
        if self.layer == LOGIT and self.channel:
            raise ValueError(f"the logit has one channel, 0; got {self.channel}")
        return self

    @property
    def title(self) -> str:
        """The unit's name for figures and messages, such as "conv_head 17"."""
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
    @checked
    def channel(cls, layer: str, channel: int) -> Objective:
        """The mean of one channel of a layer over its map.

        Args:
            layer: name of a module; `maximize` says which there are.
            channel: index of the channel, from 0.

        Raises:
            UserError: the name is empty or the index negative.
        """
        return cls(units=(Unit(layer=layer, channel=channel),))

    def __add__(self, other: Objective) -> Objective:
        return Objective(units=(*self.units, *other.units))

    def __sub__(self, other: Objective) -> Objective:
        return self + -1.0 * other

    def __rmul__(self, factor: float) -> Objective:
        return Objective(units=tuple(unit.model_copy(update={"weight": factor * unit.weight}) for unit in self.units))

    @property
    def layers(self) -> frozenset[str]:
        """The layers whose channels the objective needs."""
        return frozenset(unit.layer for unit in self.units)

    @property
    def title(self) -> str:
        """The objective as a sum, for figures and messages."""
        terms: list[str] = []
        for unit in self.units:
            size = "" if abs(unit.weight) == 1 else f"{abs(unit.weight):g} "
            sign = "- " if unit.weight < 0 else "+ " if terms else ""
            terms.append(f"{sign}{size}{unit.title}")
        return " ".join(terms)


def value_of(objective: Objective, means: Mapping[str, Tensor]) -> Tensor:
    """The value of one objective on every image of a batch.

    Args:
        objective: the objective.
        means: layer → means of its channels, [b, c]; all layers of the objective are needed.

    Returns:
        The objective of each image, [b].

    Raises:
        UserError: a layer did not run, or does not have the channel.
    """
    for unit in objective.units:
        if unit.layer not in means:
            raise UserError(f"layer '{unit.layer}' never runs in this network's forward pass; name another layer")
        if unit.channel >= means[unit.layer].shape[1]:
            last = means[unit.layer].shape[1] - 1
            raise UserError(f"layer '{unit.layer}' has channels 0 to {last}; got {unit.channel}")
    terms = [unit.weight * means[unit.layer][:, unit.channel] for unit in objective.units]
    return torch.stack(terms).sum(0)


def values_of(objectives: Sequence[Objective], means: Mapping[str, Tensor]) -> Tensor:
    """The value of each image's own objective, [b]; `objectives` has one for each image."""
    return torch.stack([value_of(objective, means)[image] for image, objective in enumerate(objectives)])


# A forward pass that ends at the last layer needed: later layers cost neither time nor memory.

Measure = Callable[[Tensor], dict[str, Tensor]]


class _AllMeasured(Exception):
    """Every layer that the objectives need has run."""


@contextmanager
def measuring(model: Classifier, objectives: Iterable[Objective]) -> Iterator[Measure]:
    """Gives a function that measures the channels of the objectives' layers on images.

    Within the block the model is in evaluation mode, and its forward pass ends at the last of these layers.

    A layer is named as in the backbone's network (`conv_head`, `features.norm5`), or as in the classifier (`head.0`). A
    module that runs more than once in a pass counts the first time. A layer gives a map [b, c, h, w] (or [b, h, w, c],
    in a network that keeps channels last), tokens [b, n, c] or a vector [b, c]; the mean is over all axes but b and c.

    Args:
        model: the network; its modes, gradients and hooks are left unchanged.
        objectives: all objectives that will be computed from the measurements.

    Yields:
        A function: images [b, 3 or 1, size, size] before the model's `(x - mean) / std` → layer → channel means [b, c].

    Raises:
        UserError: no layer has that name; or, when measuring, its output is no map, tokens or vector.
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
            raise _AllMeasured

    def measure(images: Tensor) -> dict[str, Tensor]:
        means.clear()
        with suppress(_AllMeasured):
            means[LOGIT] = model.logits(model.backbone(model.prepare(images)))[:, None]
        measured = dict(means)
        means.clear()  # so that the graph is freed
        return measured

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
    """The module of a name, in the backbone's network or in the classifier.

    Raises:
        UserError: there is no such module; the error gives the nearest name.
    """
    network = model.backbone.inner
    in_network = {name: module for name, module in network.named_modules() if name}
    modules = {**{name: module for name, module in model.named_modules() if name}, **in_network}
    if layer not in modules:
        in_head = [name for name in modules if name[:4] == "head"]
        raise UserError(near_miss("layer", layer, [LOGIT, *in_network, *in_head]))
    return modules[layer]


def _keeps_channels_last(model: Classifier, module: nn.Module) -> bool:
    network = model.backbone.inner
    channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC" and not isinstance(module, nn.Conv2d)
    return channels_last and any(other is module for other in network.modules())


def _channel_means(layer: str, output: Any, channels_last: bool) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        actual = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"layer '{layer}' must give a map, tokens or a vector; it gives {actual}")
    if output.ndim == 4:
        return output.mean((1, 2) if channels_last else (2, 3))
    return output.mean(1) if output.ndim == 3 else output


# The choice of channels for Figure 3: those that change the logit most, or a random sample.


def contributions(model: Classifier, images: Tensor, layer: str, batch: int = 8, progress: Progress = SILENT) -> Tensor:
    """What each channel of a layer adds to the logit: the sum over the map of activation × gradient of the logit.

    Args:
        model: a network with one logit; it is left unchanged.
        images: float [n, 1, h, w] in [0, 1].
        layer: name of a module, from `model.named_modules()`.
        batch: number of images in one forward pass.
        progress: receiver of the progress.

    Returns:
        float32 [n, c]. If only linear layers follow, a row sums to the logit minus what the biases add.
    """
    parts, size = [], (images.shape[2], images.shape[3])
    module = find_layer(model, layer)
    with torch.enable_grad(), evaluating(model), progress.task("effect of units", len(images)) as task:
        for part in images.split(batch):
            with captured(module) as outputs:
                logits = model(part.to(model.mean))
                gradient = torch.autograd.grad(select(logits, None).sum(), outputs[0])[0]
            maps = [as_map(tensor.detach(), module, model, size, layer) for tensor in (outputs[0], gradient)]
            parts.append((maps[0] * maps[1]).sum((2, 3)).float().cpu())
            task.update(sum(map(len, parts)))
    return torch.cat(parts)


def choose_units(effects: Tensor, count: int, by: Literal["effect", "seed"], seed: int) -> list[int]:
    """The channels that Figure 3 shows.

    Args:
        effects: what each channel adds to the logit of each image, [n, c] (see `contributions`).
        count: number of channels; all channels if there are fewer.
        by: "effect": the channels with the largest mean |contribution|, the largest first; "seed": a random sample, in
            the order of the channels.
        seed: seed of the random sample.

    >>> choose_units(torch.tensor([[0.0, -3.0, 1.0], [0.0, 3.0, 1.0]]), 2, "effect", 0)
    [1, 2]
    """
    channels = effects.shape[1]
    count = min(count, channels)
    if by == "effect":
        return effects.abs().mean(0).argsort(descending=True, stable=True)[:count].tolist()
    return sorted(generator(seed).choice(channels, count, replace=False).tolist())
