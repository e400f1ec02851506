"""torchxrayvision's release files: a whole DenseNet121 module, pickled; read as data, its classes never imported."""

from __future__ import annotations

from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted
from cxrlens.models.weights.formats.xrv_state import one_channel


@FORMATS.register("xrv_pickle")
class XrvPickle:
    """The tensors of the module tree, `features.denseblock1.denselayer1.norm1.weight` and so on."""

    def recognises(self, contents: Contents) -> bool:
        """A pickled module; only torchxrayvision's classes get past the reader."""
        return contents.kind == "torch module"

    def convert(self, contents: Contents) -> Converted:
        """As `xrv_state`, from another container."""
        return one_channel(contents.tensors)
