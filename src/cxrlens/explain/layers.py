"""Which layer's map a class activation map explains, and how that map lies in the image."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cxrlens.errors import UserError, near_miss
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
