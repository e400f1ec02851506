"""Weights from `cxrlens pretrain`: timm's names in safetensors, with a weight card in the metadata."""

from __future__ import annotations

from cxrlens.models.weights.cards import KEY, WeightCard
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted


@FORMATS.register("cxrlens_card")
class CxrlensCard:
    """A file with a weight card."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the file has a card."""
        return KEY in contents.metadata

    def convert(self, contents: Contents) -> Converted:
        """Keeps the tensors; loading converts half precision to the network's own."""
        card = WeightCard.from_json(contents.metadata[KEY], "the weight file")
        return Converted(contents.tensors, card.architecture, card.preprocessing, card=card)
