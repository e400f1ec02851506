"""Which layer's map a class activation map explains, and how that map lies in the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from cxrlens.errors import UserError, near_miss
from cxrlens.explain.base import Shown, select
from cxrlens.explain.methods import Method
from cxrlens.models.classifier import Classifier


def default_layer(model: Classifier) -> str:
    """The name of the layer whose map is explained where none is asked for: the paper's choices, and their rule.

    The head's last convolution where it has one (the paper's 64-filter one on a frozen trunk), else the layer that the
    backbone's family names (the benchmark's second convolution after its ReLU, a DenseNet's last 3 × 3 one), else the
    backbone's last feature map, which every timm CNN has and a ViT's tokens are laid out as.
    """
    convolutions = [name for name, each in model.head.named_modules(prefix="head") if isinstance(each, nn.Conv2d)]
    if convolutions:
        return convolutions[-1]
    return f"backbone.{model.backbone.map_layer}" if model.backbone.map_layer else "backbone"


def units_layer(model: Classifier) -> str:
    """The name of the layer whose channels are maximised: the paper's choices, and their rule.

    As `default_layer`, but where that is the backbone's last map, the convolution that made it: behind a ReLU a unit
    that is off at the start has no gradient, and a ReLU6 hides all above 6. Its channels are the map's.
    """
    layer, network = default_layer(model), model.backbone.inner
    if layer != "backbone" or hasattr(network, "num_prefix_tokens"):  # a ViT's one convolution is its first layer
        return layer
    made = [
        name
        for name, each in model.backbone.named_modules(prefix="backbone")
        if isinstance(each, nn.Conv2d) and each.out_channels == model.backbone.channels
    ]
    return made[-1] if made else layer


def find_layer(model: Classifier, name: str) -> nn.Module:
    """The module of that name, as `model.named_modules()` calls it.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    modules = dict(model.named_modules())
    modules.pop("")
    if name not in modules:
        raise UserError(near_miss("layer", name, modules, most=8))
    return modules[name]


def as_map(output: Tensor, layer: nn.Module, model: Classifier, size: tuple[int, int], name: str) -> Tensor:
    """A layer's output (or its gradient) as [b, c, h', w']: tokens in their places, channels first.

    Args:
        output: [b, c, h', w'], [b, h', w', c] of a network that keeps channels last, or tokens [b, n, c].
        layer: whose it is.
        model: the layer's.
        size: (h, w) of the images.
        name: of the layer.

    Raises:
        UserError: it has no places.
    """
    network: Any = model.backbone.inner
    if output.ndim == 4:
        last = getattr(network, "output_fmt", "NCHW") == "NHWC" and not isinstance(layer, nn.Conv2d)
        inside = name.startswith("backbone.")  # the backbone itself and the head have channels first
        return output.permute(0, 3, 1, 2) if last and inside else output
    if output.ndim == 3:
        for prefix in (getattr(network, "num_prefix_tokens", 0), 0):  # class and register tokens, before the patches
            patches = output.shape[1] - prefix
            rows = max(1, round((patches * size[0] / size[1]) ** 0.5))
            if patches == rows * max(1, round(rows * size[1] / size[0])):
                return output[:, prefix:].transpose(1, 2).unflatten(2, (rows, patches // rows))
    raise UserError(
        f"the layer '{name}' gives a {' × '.join(map(str, output.shape[1:]))} output an image, which is no map; "
        f"name a layer that gives [channels, height, width] or tokens, such as '{default_layer(model)}'"
    )


def margin(layer: nn.Module, name: str) -> tuple[int, int]:
    """Cells (rows, columns) that a head's convolution without padding leaves out on each side of the trunk's map."""
    if not name.startswith("head.") or not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str):
        return 0, 0
    lost = [
        spread * (kernel - 1) // 2 - padding if stride == 1 else 0
        for kernel, spread, padding, stride in zip(
            layer.kernel_size, layer.dilation, layer.padding, layer.stride, strict=True
        )
    ]
    return max(0, lost[0]), max(0, lost[1])


# A layer's output, cut out of the graph: nothing before the layer is recorded, so nothing before it is paid for.


@contextmanager
def captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Lets a network run inside the `with`; the list then holds the layer's output, ready to be differentiated by.

    What runs before the layer runs without a graph, what runs after it with one: the gradient by the layer's output
    costs no backward pass through a trunk below, whatever its parameters' flags. Of a layer that runs several times in
    a pass, the last output is kept. The hook is gone after the `with`, whatever happened inside.

    Raises:
        UserError: the layer gives no tensor.

    >>> relu = nn.ReLU(inplace=True)
    >>> with captured(relu) as seen:
    ...     output = nn.Sequential(nn.Linear(2, 2), relu)(torch.ones(1, 2)).sum()
    >>> torch.autograd.grad(output, seen[0])[0].tolist()
    [[1.0, 1.0]]
    """
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: object, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise UserError(
                f"the layer gives a {type(output).__name__}, not a tensor; name a layer that gives a feature map"
            )
        torch.set_grad_enabled(True)  # until the no_grad around it ends
        seen[:] = [output.detach().requires_grad_()]
        return seen[0].clone()  # a ReLU in place would overwrite the original

    with torch.no_grad():
        handle = layer.register_forward_hook(keep)
        try:
            yield seen
        finally:
            handle.remove()


# What class activation maps share: a layer's map, and the logit's gradient by it.


class ActivationMap(Method):
    """A method that weighs a layer's map; `combine` says how.

    No backward pass goes below the layer: on a frozen trunk with a small head the gradient is nearly free.

    Attributes:
        layer: a name from `model.named_modules()`, such as "backbone.network.blocks.5"; see `default_layer`.
    """

    shown: ClassVar[Shown] = "positive"  # the ReLU of the papers: what speaks for the target
    layer: str | None = Field(default=None, min_length=1)

    def layer_of(self, model: Classifier) -> str:
        """The layer that is explained."""
        return self.layer or default_layer(model)

    def margin_of(self, model: Classifier) -> tuple[int, int]:
        """What the layer's map lacks on each side."""
        name = self.layer_of(model)
        return margin(find_layer(model, name), name)

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed maps [b, h', w'] in the layer's cells."""
        name = self.layer_of(model)
        layer = find_layer(model, name)
        with captured(layer) as seen:
            logits = model(images)
            if not seen:
                raise UserError(
                    f"the layer '{name}' is in the model but takes no part in a pass of it; name another, such as "
                    f"'{default_layer(model)}'"
                )
            found = torch.autograd.grad(select(logits, target).sum(), seen[0], materialize_grads=True)
        size = (images.shape[2], images.shape[3])
        activation, gradient = (as_map(each.detach(), layer, model, size, name) for each in (seen[0], found[0]))
        return self.combine(activation, gradient)

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Signed maps [b, h', w'] of a layer's map and the logit's gradient by it, both [b, c, h', w']."""
        raise AssertionError("every activation map says how")
