"""torchxrayvision's release files: a whole pickled DenseNet121 module, read as data without importing its classes."""

from __future__ import annotations

from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted
from cxrlens.models.weights.formats.xrv_state import one_channel


@FORMATS.register("xrv_pickle")
class XrvPickle:
    """Names such as `features.denseblock1.denselayer1.norm1.weight`, from the tree of modules."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the file is a pickled module; the reader accepts only torchxrayvision's classes."""
        return contents.kind == "torch module"

    def convert(self, contents: Contents) -> Converted:
        """Converts the tensors as `xrv_state` does."""
        return one_channel(contents.tensors)
