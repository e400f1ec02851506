"""Backbones, one file per family. A backbone turns images [b, 3, h, w] into a feature map [b, c, h', w']."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from cxrlens.registry import Registry


@dataclass(frozen=True)
class Preprocessing:
    """Scale of the images for a network: `(x - mean) / std` of an image in [0, 1], with grey in every channel.

    Attributes:
        mean: number that is subtracted, for each channel.
        std: number that the difference is divided by, for each channel.
    """

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


UNIT = Preprocessing()


class Backbone(nn.Module):
    """A network without its classifier.

    Attributes:
        channels: number of channels of the feature map.
        head: default head, a name in `HEADS`.
        architecture: name of the architecture, by which weights are found.
        map_layer: name of the module whose output class activation maps explain; "" for the backbone's own output.
        dropped: prefixes of tensors in published weights that the backbone does not use, such as the classifier's.
    """

    channels: int
    architecture: str
    head: str = "conv"
    map_layer: str = ""
    dropped: tuple[str, ...] = ()

    @property
    def inner(self) -> nn.Module:
        """Module whose names are used in weight files and studies: the wrapped network, or the backbone itself."""
        wrapped = getattr(self, "network", self)
        assert isinstance(wrapped, nn.Module)
        return wrapped

    @property
    def inner_path(self) -> str:
        """Path of `inner` in a classifier: "backbone.network" or "backbone"."""
        return "backbone" if self.inner is self else "backbone.network"

    def forward(self, images: Tensor) -> Tensor:
        """Feature map [b, channels, h', w'] of prepared images [b, 3, h, w]."""
        raise AssertionError("every family implements forward")


Builder = Callable[[int], Backbone]

BACKBONES: Registry[Builder] = Registry("backbone", package="cxrlens.models.backbones")
