"""Weight formats, one file per format: how a source names its tensors, and how they become timm's tensors.

A format recognises a file by names and shapes of its tensors, never by the file's suffix. It returns every tensor: one
without a new name keeps its own, so that loading names it and refuses the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from cxrlens.models.backbones import Preprocessing
from cxrlens.models.weights.cards import KEY, WeightCard
from cxrlens.models.weights.containers import Contents
from cxrlens.registry import Registry


@dataclass(frozen=True)
class Converted:
    """Weights under timm's names.

    Attributes:
        tensors: all tensors of the file.
        architecture: timm's name of the architecture, if the format determines it.
        preprocessing: scale of the training images, if the format determines it.
        epsilon: epsilon of the source's BatchNorm, if it differs from PyTorch's 1e-5.
        card: weight card inside the file, if cxrlens wrote the file.
        advice: what to do if the tensors do not fit.
    """

    tensors: dict[str, Tensor]
    architecture: str | None = None
    preprocessing: Preprocessing | None = None
    epsilon: float | None = None
    card: WeightCard | None = None
    advice: str = ""


class Format(Protocol):
    """How one source names and arranges its tensors."""

    def recognises(self, contents: Contents) -> bool:
        """Whether names and shapes are those of this source."""
        ...

    def convert(self, contents: Contents) -> Converted:
        """Converts recognised contents to timm's names."""
        ...


FORMATS: Registry[type[Format]] = Registry("weight format", package="cxrlens.models.weights.formats")


def recognise(contents: Contents) -> str:
    """Name of the format of a file; "plain" if no format or more than one recognises it."""
    if KEY in contents.metadata:  # the card counts more than the names of the tensors
        return "cxrlens_card"
    names = [name for name in FORMATS if name != "plain" and FORMATS[name]().recognises(contents)]
    return names[0] if len(names) == 1 else "plain"


def convert(contents: Contents) -> Converted:
    """Converts contents to timm's names, by the format that recognises them."""
    return FORMATS[recognise(contents)]().convert(contents)


_DOTTED = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def undotted(name: str) -> str:
    """Today's name of a part of a dense layer, from its name in old versions of torchvision.

    >>> undotted("features.denseblock1.denselayer2.norm.1.weight")
    'features.denseblock1.denselayer2.norm1.weight'
    """
    return _DOTTED.sub(r"\1\2.", name)
