"""A network that cxrlens trained: `backbone.…` and `head.…` in one safetensors file; the head is left behind."""

from __future__ import annotations

from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted


@FORMATS.register("cxrlens_run")
class CxrlensRun:
    """Names such as `backbone.network.conv1.weight`."""

    def recognises(self, contents: Contents) -> bool:
        """Every name is the backbone's or the head's, and some are the backbone's."""
        names = contents.tensors
        return any(name.startswith("backbone.") for name in names) and all(
            name.startswith(("backbone.", "head.")) for name in names
        )

    def convert(self, contents: Contents) -> Converted:
        """The backbone's tensors under its own names."""
        ours = {name: tensor for name, tensor in contents.tensors.items() if name.startswith("backbone.")}
        return Converted(
            {name.removeprefix("backbone.").removeprefix("network."): tensor for name, tensor in ours.items()}
        )
