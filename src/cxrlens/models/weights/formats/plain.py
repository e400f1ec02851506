"""timm's own names, in safetensors or a state dict: taken as they are, whatever the architecture."""

from __future__ import annotations

from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted


@FORMATS.register("plain")
class Plain:
    """What no other format claims; loading refuses it where the names are not the architecture's."""

    def recognises(self, contents: Contents) -> bool:
        """A table of tensors."""
        return contents.kind in ("torch", "safetensors")

    def convert(self, contents: Contents) -> Converted:
        """The same tensors."""
        return Converted(contents.tensors)
