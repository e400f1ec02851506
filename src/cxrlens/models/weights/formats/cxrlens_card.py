"""Weights that `cxrlens pretrain` made: timm's names in safetensors, and their own weight card beside the tensors."""

from __future__ import annotations

from cxrlens.models.weights.cards import KEY, WeightCard
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted


@FORMATS.register("cxrlens_card")
class CxrlensCard:
    """A file that says itself what it is."""

    def recognises(self, contents: Contents) -> bool:
        """Its card is there."""
        return KEY in contents.metadata

    def convert(self, contents: Contents) -> Converted:
        """The same tensors; half precision becomes the network's own on loading."""
        card = WeightCard.from_json(contents.metadata[KEY], "the weight file")
        return Converted(contents.tensors, card.architecture, card.preprocessing, card=card)
