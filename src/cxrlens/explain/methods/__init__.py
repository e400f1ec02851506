"""Attribution methods: one method in each file, which has the method's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from cxrlens.config import Config
from cxrlens.explain.base import DisplayedPart
from cxrlens.models.classifier import Classifier
from cxrlens.registry import Registry


class Method(Config, ABC):
    """An attribution method: it computes how much each place of an image contributes to a logit. Fields are options.

    Attributes:
        name: name in the registry, which sets it.
        title: the method's usual name, for figures and sentences.
        citation: authors, year and identifier of the work that the method comes from.
        displayed: the part of the signed maps that this work displays: "positive", "magnitude" or "signed".
        warning: what a reader of the maps must know; empty if there is nothing.
        trial: options with the least work, for a test whether the method works for a network.
        batch: largest number of images that go through the network at once; it bounds the memory and changes no map.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]
    citation: ClassVar[str]
    displayed: ClassVar[DisplayedPart] = "signed"
    warning: ClassVar[str] = ""
    trial: ClassVar[Mapping[str, int]] = {}
    batch: int = Field(default=8, ge=1)

    def layer_of(self, model: Classifier) -> str | None:
        """The name of the layer whose map is used; None for a method without a layer."""
        return None

    def margin_of(self, model: Classifier) -> tuple[int, int]:
        """Cells (rows, columns) that the maps lack on each side of the image."""
        return 0, 0

    @abstractmethod
    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Raw signed maps [b, h', w'] of at most `batch` images.

        Args:
            model: network in evaluation mode; it is left unchanged.
            images: [b, 1, h, w] in [0, 1], on the model's device and in its precision.
            target: index of the explained logit for each image, [b]; None if the network has only one logit.
        """


METHODS: Registry[type[Method]] = Registry("method", package="cxrlens.explain.methods")
