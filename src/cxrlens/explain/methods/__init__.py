"""One file = one method of attribution; the file's name is the method's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from cxrlens.config import Config
from cxrlens.explain.base import Shown
from cxrlens.models.classifier import Classifier
from cxrlens.registry import Registry


class Method(Config, ABC):
    """A way to say where in an image a logit comes from; the fields are its options.

    Attributes:
        name: the name in the registry, which sets it.
        title: what the field calls the method, for figures and sentences.
        citation: authors, year and identifier of the work that the method comes from.
        shown: the part of the signed maps that this work displays.
        warning: what a reader of the maps must know; empty where there is nothing.
        trial: options of least work, to find out whether a network can have its maps.
        batch: largest number of images that go through the network at once; it bounds the memory and changes no map.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]
    citation: ClassVar[str]
    shown: ClassVar[Shown] = "signed"
    warning: ClassVar[str] = ""
    trial: ClassVar[Mapping[str, int]] = {}
    batch: int = Field(default=8, ge=1)

    def layer_of(self, model: Classifier) -> str | None:
        """The layer that is explained; None where the method needs none."""
        return None

    def margin_of(self, model: Classifier) -> tuple[int, int]:
        """Cells (rows, columns) that the maps lack on each side of the image."""
        return 0, 0

    @abstractmethod
    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Raw signed maps [b, h', w'] of at most `batch` images.

        Args:
            model: in evaluation mode; left as it was found.
            images: [b, 1, h, w] in [0, 1], where the model is and in its precision.
            target: index of the explained logit for each image, [b]; None where there is only one.
        """


METHODS: Registry[type[Method]] = Registry("method", package="cxrlens.explain.methods")
