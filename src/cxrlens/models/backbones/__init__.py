"""One file = one family. A backbone turns images [b, channels, h, w] into a feature map [b, c, h', w']."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from cxrlens.registry import Registry


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants to be given: `(x - mean) / std` of an image in [0, 1], grey repeated over the channels."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


UNIT = Preprocessing()


class Backbone(nn.Module):
    """A network without its top.

    Attributes:
        channels: of its feature map.
        head: the head that it is meant to wear, a name in `HEADS`.
        architecture: the name that weights are filed under.
        map_layer: name of its module whose output a class activation map explains; its own output where it is empty.
        dropped: prefixes of tensors that published weights hold and a backbone has no use for, such as the classifier.
    """

    channels: int
    architecture: str
    head: str = "conv"
    map_layer: str = ""
    dropped: tuple[str, ...] = ()

    @property
    def inner(self) -> nn.Module:
        """The module whose names weight files and studies use: the wrapped network, or the backbone itself."""
        wrapped = getattr(self, "network", self)
        assert isinstance(wrapped, nn.Module)
        return wrapped

    @property
    def inner_path(self) -> str:
        """Where `inner` stands in a classifier: "backbone.network" or "backbone"."""
        return "backbone" if self.inner is self else "backbone.network"

    def forward(self, images: Tensor) -> Tensor:
        """Feature map [b, channels, h', w'] of prepared images [b, 3, h, w]."""
        raise AssertionError("every family says how")


Builder = Callable[[int], Backbone]

BACKBONES: Registry[Builder] = Registry("backbone", package="cxrlens.models.backbones")
