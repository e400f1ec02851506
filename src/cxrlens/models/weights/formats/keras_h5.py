"""Keras' DenseNet121 in HDF5: CheXNet as the paper used it (keras_applications/densenet.py), without TensorFlow.

Where Keras' network and timm's differ: kernels are HWIO, dense kernels transposed, BatchNorm's epsilon is 1.001e-5.
Where they don't: the explicit zero padding before the stem (3) and its pool (1, behind a ReLU, so zeros never win) is
PyTorch's own padding, and both floor in the transitions' average pools.
"""

from __future__ import annotations

import re

from torch import Tensor

from cxrlens.models.weights.cards import IMAGENET
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted

EPSILON = 1.001e-5
BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
LAYERS = (  # Keras' layer (a slash in its name is an underscore in later versions) → timm's module
    (r"conv1[/_]conv", "features.conv0"),
    (r"conv1[/_]bn", "features.norm0"),
    (r"conv(\d)_block(\d+)_0_bn", "features.denseblock{0}.denselayer{1}.norm1"),
    (r"conv(\d)_block(\d+)_1_conv", "features.denseblock{0}.denselayer{1}.conv1"),
    (r"conv(\d)_block(\d+)_1_bn", "features.denseblock{0}.denselayer{1}.norm2"),
    (r"conv(\d)_block(\d+)_2_conv", "features.denseblock{0}.denselayer{1}.conv2"),
    (r"pool(\d)_bn", "features.transition{0}.norm"),
    (r"pool(\d)_conv", "features.transition{0}.conv"),
    (r"bn", "features.norm5"),
    (r"predictions", "classifier"),
)


@FORMATS.register("keras_h5")
class KerasH5:
    """Weight names such as `conv2_block1_0_bn/gamma:0`."""

    def recognises(self, contents: Contents) -> bool:
        """Any HDF5 file: no other format is kept in one."""
        return contents.kind == "hdf5"

    def convert(self, contents: Contents) -> Converted:
        """HWIO → OIHW, gamma / beta / mean / variance by name."""
        tensors = dict(_renamed(name, tensor) for name, tensor in contents.tensors.items())
        return Converted(tensors, "densenet121", IMAGENET, EPSILON)


def _renamed(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    layer, _, part = name.removesuffix(":0").rpartition("/")
    for pattern, module in LAYERS:
        if found := re.fullmatch(pattern, layer):
            # Keras counts the stem as the first stage
            target = module.format(*(int(each) - (place == 0) for place, each in enumerate(found.groups())))
            if part in BATCH_NORM:
                return f"{target}.{BATCH_NORM[part]}", tensor
            if part == "kernel":
                order = (3, 2, 0, 1) if tensor.ndim == 4 else (1, 0)
                return f"{target}.weight", tensor.permute(order[: tensor.ndim]).contiguous()
            if part == "bias":
                return f"{target}.bias", tensor
    return name, tensor
