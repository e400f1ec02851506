"""timm's own names of any architecture, in safetensors or a state dict; they stay unchanged."""

from __future__ import annotations

from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted


@FORMATS.register("plain")
class Plain:
    """A file that no other format recognises; loading refuses it if the names are not the architecture's."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the file is a table of tensors."""
        return contents.kind in ("torch", "safetensors")

    def convert(self, contents: Contents) -> Converted:
        """Keeps the tensors."""
        return Converted(contents.tensors)
