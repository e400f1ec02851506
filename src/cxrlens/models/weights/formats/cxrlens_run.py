"""A network from a run: `backbone.…` and `head.…` in one safetensors file; the head is not used."""

from __future__ import annotations

from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted


@FORMATS.register("cxrlens_run")
class CxrlensRun:
    """Names such as `backbone.network.conv1.weight`."""

    def recognises(self, contents: Contents) -> bool:
        """Whether all names are of the backbone or the head, and some of the backbone."""
        names = contents.tensors
        return any(name.startswith("backbone.") for name in names) and all(
            name.startswith(("backbone.", "head.")) for name in names
        )

    def convert(self, contents: Contents) -> Converted:
        """Takes the backbone's tensors under its own names."""
        tensors = {name: tensor for name, tensor in contents.tensors.items() if name.startswith("backbone.")}
        return Converted(
            {name.removeprefix("backbone.").removeprefix("network."): tensor for name, tensor in tensors.items()}
        )
