"""torchxrayvision's DenseNet121 as a table of tensors: safetensors from its hub, or a state dict saved by a user.

Its network takes 1 channel in [-1024, 1024]; cxrlens feeds the grey image three times. A third of the stem's kernel for
each channel gives the same sums. The range is a mean and a standard deviation:
2048 x - 1024 = (x - 1/2) / (1/2048) for x in [0, 1] (torchxrayvision's `datasets.normalize`).
"""

from __future__ import annotations

from torch import Tensor

from cxrlens.models.backbones import Preprocessing
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted

STEM = "features.conv0.weight"
THRESHOLDS = "op_threshs"  # operating points of the outputs; not part of the network
RANGE = Preprocessing((0.5,) * 3, (1 / 2048,) * 3)


@FORMATS.register("xrv_state")
class XrvState:
    """timm's names, with a stem for 1 channel."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the file has a DenseNet's stem for 1 channel."""
        stem = contents.tensors.get(STEM)
        return contents.kind in ("torch", "safetensors") and stem is not None and stem.ndim == 4 and stem.shape[1] == 1

    def convert(self, contents: Contents) -> Converted:
        """Divides the stem over 3 equal channels."""
        return one_channel(contents.tensors)


def one_channel(tensors: dict[str, Tensor]) -> Converted:
    """Converts a network for 1 channel in [-1024, 1024] to one for 3 equal channels of an image in [0, 1]."""
    converted = {name: tensor for name, tensor in tensors.items() if name != THRESHOLDS}
    stem = converted.get(STEM)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 1:
        converted[STEM] = (stem / 3).repeat(1, 3, 1, 1)
    return Converted(converted, "densenet121", RANGE)
