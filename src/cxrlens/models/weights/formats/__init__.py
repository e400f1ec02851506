"""One file = one format: who publishes weights how, and how they become timm's tensors for the same architecture.

A format looks at names and shapes, never at a file's suffix, and gives every tensor that it was given: what it has no
name for keeps its own, so that loading, which wants all names and no others, refuses the file and names it.
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
        tensors: every one of the file.
        architecture: timm's name for it, where the format settles that.
        preprocessing: what the network was trained to be given, where the format settles that.
        epsilon: of the source's BatchNorm, where it isn't PyTorch's 1e-5.
        card: the weight card that the file carries, if it was made here.
        advice: what to do where the tensors do not fit.
    """

    tensors: dict[str, Tensor]
    architecture: str | None = None
    preprocessing: Preprocessing | None = None
    epsilon: float | None = None
    card: WeightCard | None = None
    advice: str = ""


class Format(Protocol):
    """How one source lays its weights out."""

    def recognises(self, contents: Contents) -> bool:
        """Whether these names and shapes are this source's."""
        ...

    def convert(self, contents: Contents) -> Converted:
        """The tensors under timm's names; called for what is recognised."""
        ...


FORMATS: Registry[type[Format]] = Registry("weight format", package="cxrlens.models.weights.formats")


def recognise(contents: Contents) -> str:
    """The name of the format; "plain" where none claims it, or a mixture that several do."""
    if KEY in contents.metadata:  # says itself what it is, whatever its tensors are called
        return "cxrlens_card"
    claimed = [name for name in FORMATS if name != "plain" and FORMATS[name]().recognises(contents)]
    return claimed[0] if len(claimed) == 1 else "plain"


def convert(contents: Contents) -> Converted:
    """The tensors under timm's names, by the format that recognises them."""
    return FORMATS[recognise(contents)]().convert(contents)


_DOTTED = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def undotted(name: str) -> str:
    """Old torchvision's name of a dense layer's part as it is called since.

    >>> undotted("features.denseblock1.denselayer2.norm.1.weight")
    'features.denseblock1.denselayer2.norm1.weight'
    """
    return _DOTTED.sub(r"\1\2.", name)
