"""Heads, which turn a feature map into a logit; their weights start as in Keras: Glorot-uniform, zero biases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from cxrlens.errors import UserError
from cxrlens.registry import Registry


def glorot(module: nn.Module) -> None:
    """Draws the weights of a convolution or dense layer (Glorot and Bengio 2010); used as `network.apply(glorot)`."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


HEADS: Registry[Callable[[int, int, int], nn.Module]] = Registry("head")


class GlobalAveragePool(nn.Module):
    """Mean over the map: [b, c, h, w] → [b, c]."""

    def forward(self, features: Tensor) -> Tensor:
        """Mean of each channel."""
        return features.mean((2, 3))


class Flatten(nn.Flatten):
    """[b, c, h, w] → [b, c·h·w]; its gradient has the memory layout of the map.

    Otherwise a pooling layer before it gets a gradient of another layout than its input, and copies the larger map
    twice on the way back.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The map as one row per image."""
        if input.requires_grad and input.is_contiguous(memory_format=torch.channels_last):
            input.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
        return super().forward(input)


@HEADS.register("conv")
def conv_head(channels: int, height: int, width: int) -> nn.Module:
    """The paper's head on a pretrained backbone: conv 64 3 × 3 "valid" without activation, average pooling, dense 1."""
    if min(height, width) < 3:
        raise UserError(
            f"the 'conv' head needs a feature map of at least 3 × 3; got {height} × {width}: "
            "use larger images or head = 'linear'"
        )
    return nn.Sequential(nn.Conv2d(channels, 64, 3), GlobalAveragePool(), nn.Linear(64, 1)).apply(glorot)


@HEADS.register("linear")
def linear_head(channels: int, height: int, width: int) -> nn.Module:
    """The paper's head where all layers train: average pooling, dense 1."""
    return pooled_head(channels, 1)


def pooled_head(channels: int, outputs: int) -> nn.Module:
    """Average pooling and a dense layer; pretraining has one output for each finding and each teacher's feature."""
    return nn.Sequential(GlobalAveragePool(), nn.Linear(channels, outputs)).apply(glorot)


@HEADS.register("dense")
def dense_head(channels: int, height: int, width: int) -> nn.Module:
    """The benchmark's head: flatten, dense 128 ReLU, dense 1."""
    layers = (Flatten(), nn.Linear(channels * height * width, 128), nn.ReLU(), nn.Linear(128, 1))
    return nn.Sequential(*layers).apply(glorot)


# What a head needs of a feature map. Where nothing nonlinear comes before the pooling, the pooling can be done first.


@dataclass(frozen=True)
class HeadInput:
    """What a head needs of a feature map; it depends on the kind of the head, not on its weights.

    Attributes:
        form: name of the kind: "map", "mean" or "windows".
        of: function from feature maps [b, c, h, w] to what the head needs, [b, ...].
        output: function from what the head needs to the head's output [b, 1]; gradients reach the head's weights.
    """

    form: str
    of: Callable[[Tensor], Tensor]
    output: Callable[[Tensor], Tensor]


def head_input(head: nn.Module) -> HeadInput:
    """What a head needs of a feature map.

    The paper's head is a 3 × 3 convolution without activation, then the mean over the map. That is the convolution's
    weights times the mean of the map in each of the 9 windows that a weight sees: 9 numbers for a channel in place of
    49, and an eighth of the time of a training step. The result differs from the head's own by rounding alone.
    """
    match [*head] if isinstance(head, nn.Sequential) else []:
        case [GlobalAveragePool(), nn.Linear() as dense]:
            return HeadInput("mean", lambda maps: maps.mean((2, 3)), dense)
        case [nn.Conv2d() as conv, GlobalAveragePool(), nn.Linear() as dense] if _is_plain(conv):
            return HeadInput(
                "windows",
                _window_means,
                # The weights in the order of their memory (channels last): nothing is copied.
                lambda means: dense(linear(means.flatten(1), conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)),
            )
    return HeadInput("map", lambda maps: maps, head)


def _is_plain(conv: nn.Conv2d) -> bool:
    return (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups) == (
        (3, 3),
        (1, 1),
        (0, 0),
        (1, 1),
        1,
    )


def _window_means(maps: Tensor) -> Tensor:
    """Means of maps [b, c, h, w] over the places that each weight of a 3 × 3 convolution sees, [b, 9, c]."""
    height, width = maps.shape[2] - 2, maps.shape[3] - 2
    places = [(row, column) for row in range(3) for column in range(3)]
    return torch.stack(
        [maps[:, :, row : row + height, column : column + width].mean((2, 3)) for row, column in places], 1
    )
