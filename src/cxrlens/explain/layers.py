"""Class activation maps: the choice of the layer, its output and gradient, and where its map lies in the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from cxrlens.errors import UserError, near_miss
from cxrlens.explain.base import DisplayedPart, select
from cxrlens.explain.methods import Method
from cxrlens.models.classifier import Classifier


def default_layer(model: Classifier) -> str:
    """The default layer of a class activation map. The rule gives the paper's choices for the paper's networks.

    The layer is the last convolution of the head, if there is one (the paper's 64 filters on a frozen trunk). Otherwise
    it is the layer that the backbone's family names (the benchmark's second convolution after its ReLU, a DenseNet's
    last 3 × 3 convolution). Otherwise it is the backbone's last feature map: a timm CNN's, or a ViT's tokens in their
    places.
    """
    convolutions = [name for name, module in model.head.named_modules(prefix="head") if isinstance(module, nn.Conv2d)]
    if convolutions:
        return convolutions[-1]
    return f"backbone.{model.backbone.map_layer}" if model.backbone.map_layer else "backbone"


def units_layer(model: Classifier) -> str:
    """The layer whose channels Figure 3 maximises. The rule gives the paper's choices for the paper's networks.

    It is the `default_layer`. If that is the backbone's last map, it is the convolution that computes this map, with
    the same channels: after a ReLU, a unit that is off at the start has no gradient, and a ReLU6 stops at 6.
    """
    layer, network = default_layer(model), model.backbone.inner
    if layer != "backbone" or hasattr(network, "num_prefix_tokens"):  # a ViT's one convolution is its first layer
        return layer
    convolutions = [
        name
        for name, module in model.backbone.named_modules(prefix="backbone")
        if isinstance(module, nn.Conv2d) and module.out_channels == model.backbone.channels
    ]
    return convolutions[-1] if convolutions else layer


def find_layer(model: Classifier, name: str) -> nn.Module:
    """The module of a name from `model.named_modules()`.

    Raises:
        UserError: there is no such module; the error gives the nearest names.
    """
    modules = dict(model.named_modules())
    modules.pop("")
    if name not in modules:
        raise UserError(near_miss("layer", name, modules, most=8))
    return modules[name]


def as_map(output: Tensor, layer: nn.Module, model: Classifier, size: tuple[int, int], name: str) -> Tensor:
    """A layer's output (or its gradient) as a map [b, c, h', w']: tokens in their places, channels first.

    Args:
        output: [b, c, h', w'], [b, h', w', c] in a network that keeps channels last, or tokens [b, n, c].
        layer: module of the layer.
        model: network of the layer.
        size: (h, w) of the images.
        name: name of the layer.

    Raises:
        UserError: the output cannot be laid out as a map.
    """
    network: Any = model.backbone.inner
    if output.ndim == 4:
        channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC" and not isinstance(layer, nn.Conv2d)
        in_backbone = name.startswith("backbone.")  # the backbone itself and the head have channels first
        return output.permute(0, 3, 1, 2) if channels_last and in_backbone else output
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
    """Cells (rows, columns) of the trunk's map that a head's convolution without padding loses on each side."""
    if not name.startswith("head.") or not isinstance(layer, nn.Conv2d) or isinstance(layer.padding, str):
        return 0, 0
    rows, columns = [
        dilation * (kernel - 1) // 2 - padding if stride == 1 else 0
        for kernel, dilation, padding, stride in zip(
            layer.kernel_size, layer.dilation, layer.padding, layer.stride, strict=True
        )
    ]
    return max(0, rows), max(0, columns)


@contextmanager
def captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Captures a layer's output in a forward pass inside the `with`, for the gradient with respect to this output.

    The list that it yields then holds the output. Modules before the layer run without a graph, modules after it with
    one. The gradient therefore costs no backward pass through the trunk, even if the trunk's parameters require
    gradients. If the layer runs several times in a pass, the last output is kept. The hook is always removed.

    Raises:
        UserError: the layer's output is no tensor.

    >>> relu = nn.ReLU(inplace=True)
    >>> with captured(relu) as outputs:
    ...     output = nn.Sequential(nn.Linear(2, 2), relu)(torch.ones(1, 2)).sum()
    >>> torch.autograd.grad(output, outputs[0])[0].tolist()
    [[1.0, 1.0]]
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise UserError(
                f"the layer gives a {type(output).__name__}, not a tensor; name a layer that gives a feature map"
            )
        torch.set_grad_enabled(True)  # until the surrounding no_grad ends
        outputs[:] = [output.detach().requires_grad_()]
        return outputs[0].clone()  # an in-place ReLU would overwrite the original

    with torch.no_grad():
        handle = layer.register_forward_hook(keep)
        try:
            yield outputs
        finally:
            handle.remove()


class ActivationMap(Method):
    """A method that weights a layer's map; `combine` defines how.

    The backward pass ends at the layer, so with a small head on a frozen trunk the gradient is nearly free.

    Attributes:
        layer: name of a module, from `model.named_modules()`, such as "backbone.network.blocks.5"; None chooses the
            `default_layer`.
    """

    displayed: ClassVar[DisplayedPart] = "positive"  # the ReLU of the papers: evidence for the target
    layer: str | None = Field(default=None, min_length=1)

    def layer_of(self, model: Classifier) -> str:
        """The name of the layer whose map is used."""
        return self.layer or default_layer(model)

    def margin_of(self, model: Classifier) -> tuple[int, int]:
        """Cells (rows, columns) that the layer's map lacks on each side."""
        name = self.layer_of(model)
        return margin(find_layer(model, name), name)

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed maps [b, h', w'] in the layer's cells."""
        name = self.layer_of(model)
        layer = find_layer(model, name)
        with captured(layer) as outputs:
            logits = model(images)
            if not outputs:
                raise UserError(
                    f"the layer '{name}' is in the model but does not run in its forward pass; name another, such as "
                    f"'{default_layer(model)}'"
                )
            gradients = torch.autograd.grad(select(logits, target).sum(), outputs[0], materialize_grads=True)
        size = (images.shape[2], images.shape[3])
        activation, gradient = (
            as_map(tensor.detach(), layer, model, size, name) for tensor in (outputs[0], gradients[0])
        )
        return self.combine(activation, gradient)

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Signed maps [b, h', w'] from a layer's map and the gradient of the logit, both [b, c, h', w']."""
        raise AssertionError("every subclass defines combine")
