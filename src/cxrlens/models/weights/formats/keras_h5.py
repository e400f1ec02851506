"""Keras' VGG16 and 19 and DenseNet121, 169 and 201 (keras/applications), without TensorFlow or Keras.

The paper's CheXNet is such a DenseNet121; the paper's VGG16 is Keras' own. Keras' networks differ from timm's in four
ways: kernels are HWIO, dense kernels are transposed, the epsilon of DenseNet's BatchNorm is 1.001e-5, and VGG takes BGR
in 0 to 255 minus a mean (`preprocess_input` in "caffe" mode). For VGG, the first kernel gets its channels reversed, and
the rest is a mean and a standard deviation of [0, 1]. The padding is the same: DenseNet's explicit zero padding before
the stem (3) and before its pool (1, after a ReLU, so that zeros never win) equals PyTorch's, and both floor in pools.

Keras names tensors in two ways: by layer (`block1_conv1/kernel:0`, `.h5`), and since Keras 3 by class and place
(`layers/conv2d_1/vars/0`, `.weights.h5` and `.keras`), where the second convolution is `conv2d_1` and a kernel is 0.
"""

from __future__ import annotations

import re
from itertools import accumulate, chain

from torch import Tensor

from cxrlens.errors import UserError
from cxrlens.models.weights.cards import CAFFE, IMAGENET
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted

EPSILON = 1.001e-5
BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
PARTS = {"conv2d": ("kernel", "bias"), "dense": ("kernel", "bias"), "batch_normalization": tuple(BATCH_NORM)}
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions in each block
DENSENET = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)}
DENSENET_LAYERS = (  # Keras' layer (a slash in its name is an underscore in later versions) → timm's module
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
VGG_TOP = {"fc1": "pre_logits.fc1", "fc2": "pre_logits.fc2", "predictions": "head.fc"}
SAVE_INNER = "save the inner one alone, model.get_layer(NAME).save_weights('NAME.weights.h5')"
SUPPORTED = "VGG16, VGG19, DenseNet121, DenseNet169 and DenseNet201"


@FORMATS.register("keras_h5")
class KerasH5:
    """Weight names such as `conv2_block1_0_bn/gamma:0`, or places such as `layers/conv2d_1/vars/0`."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the file is HDF5; no other format uses it."""
        return contents.kind == "hdf5"

    def convert(self, contents: Contents) -> Converted:
        """Converts names and the order of the axes (HWIO → OIHW); a tensor without a known place keeps its name.

        Raises:
            UserError: the file holds another network than those supported, or a network inside another.
        """
        by_place = any(re.search(r"(^|/)vars/\d+$", name) for name in contents.tensors)
        named = _by_layer(contents) if by_place else contents.tensors
        architecture = _architecture(named)
        tensors: dict[str, Tensor] = {}
        for name, tensor in named.items():
            target, converted = _renamed(name, tensor, architecture)
            tensors[name if target in tensors else target] = converted
        stem = tensors.get("features.0.weight")
        advice = f"if the file holds a network inside another, {SAVE_INNER}" if set(tensors) & set(named) else ""
        if architecture not in VGG:
            return Converted(tensors, architecture, IMAGENET, EPSILON, advice=advice)
        if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
            tensors["features.0.weight"] = stem.flip(1)  # BGR → RGB
        return Converted(tensors, architecture, CAFFE, advice=advice)


def vgg_layers(architecture: str) -> dict[str, str]:
    """Modules of timm by Keras' convolutions, in order; timm's numbers count ReLUs and pools too.

    >>> list(vgg_layers("vgg16").items())[1:3]
    [('block1_conv2', 'features.2'), ('block2_conv1', 'features.5')]
    """
    depths = VGG[architecture]
    starts = (0, *accumulate(2 * depth + 1 for depth in depths))
    return {
        f"block{block}_conv{place + 1}": f"features.{starts[block - 1] + 2 * place}"
        for block, depth in enumerate(depths, start=1)
        for place in range(depth)
    }


def densenet_layers(architecture: str) -> dict[str, list[str]]:
    """Names of Keras' layers in order, for each class of layers."""
    norms, convolutions = ["conv1_bn"], ["conv1_conv"]
    for stage, depth in enumerate(DENSENET[architecture], start=2):
        blocks = [f"conv{stage}_block{layer}" for layer in range(1, depth + 1)]
        norms += chain.from_iterable((f"{block}_0_bn", f"{block}_1_bn") for block in blocks)
        convolutions += chain.from_iterable((f"{block}_1_conv", f"{block}_2_conv") for block in blocks)
        if stage < 5:
            norms.append(f"pool{stage}_bn")
            convolutions.append(f"pool{stage}_conv")
    return {"conv2d": convolutions, "batch_normalization": [*norms, "bn"], "dense": ["predictions"]}


def _architecture(names: dict[str, Tensor]) -> str:
    """Architecture with layers of these names; the nearest one if layers are missing."""
    layers = [name.removesuffix(":0").rpartition("/")[0] for name in names]
    if any(re.search(r"(^|/)block\d_conv\d(_\d+)?$", layer) for layer in layers):
        return "vgg19" if any(re.search(r"block[345]_conv4", layer) for layer in layers) else "vgg16"
    if any(re.search(r"(^|/)conv\d_block\d+_0_bn(_\d+)?$", layer) for layer in layers) or layers == ["bn"]:
        deepest = max(
            (int(match[1]) for layer in layers if (match := re.search(r"conv4_block(\d+)_[01]", layer))), default=0
        )
        return next((name for name, depths in DENSENET.items() if deepest <= depths[2]), "densenet201")
    first = ", ".join(list(dict.fromkeys(layers))[:3])
    raise UserError(
        f"the file holds Keras weights of another network than those supported, {SUPPORTED}: its layers are {first}…"
    )


def _renamed(name: str, tensor: Tensor, architecture: str) -> tuple[str, Tensor]:
    layer, _, part = name.removesuffix(":0").rpartition("/")
    target = _module(layer, architecture)
    if target and part in BATCH_NORM and architecture in DENSENET:
        return f"{target}.{BATCH_NORM[part]}", tensor
    if target and part == "kernel":
        order = (3, 2, 0, 1) if tensor.ndim == 4 else (1, 0)
        return f"{target}.weight", tensor.permute(order) if tensor.ndim in (2, 4) else tensor
    if target and part == "bias":
        return f"{target}.bias", tensor
    return name, tensor


def _module(layer: str, architecture: str) -> str | None:
    """Module in timm for a layer of Keras, without a scope before its name and without a number that Keras appended."""
    for name in (layer, re.sub(r"_\d+$", "", layer)):
        if architecture in VGG:
            name = name.rpartition("/")[2]
            if target := (vgg_layers(architecture) | VGG_TOP).get(name):
                return target
            continue
        for pattern, module in DENSENET_LAYERS:
            if match := re.fullmatch(rf"(?:.*/)?{pattern}", name):
                # Keras counts the stem as the first stage
                return module.format(*(int(number) - (place == 0) for place, number in enumerate(match.groups())))
    return None


def _by_layer(contents: Contents) -> dict[str, Tensor]:
    """Tensors of a Keras 3 file by layer names: from their places, as Keras does, checked with names in the file."""
    groups = dict.fromkeys(name.rpartition("layers/")[0] for name in contents.tensors)
    if len(groups) > 1:
        inner = max(groups, key=lambda group: sum(name.startswith(group) for name in contents.tensors if group))
        raise UserError(
            f"the file holds a network inside another ('{inner.rstrip('/')}') with other layers around it: "
            + SAVE_INNER
        )
    places = {name: _place(name) for name in contents.tensors}
    counts = {
        kind: 1 + max((number for cls, number, _ in places.values() if cls == kind), default=-1) for kind in PARTS
    }
    orders = _orders(counts)
    named: dict[str, Tensor] = {}
    for name, tensor in contents.tensors.items():
        kind, number, part = places[name]
        order = orders.get(kind, [])
        layer = order[number] if number < len(order) else None
        own_name = contents.metadata.get(name.rpartition("vars/")[0])
        if layer and own_name and kind != "dense" and own_name.replace("/", "_") != layer:
            raise UserError(f"the file's {name.rpartition('/vars/')[0]} is called {own_name}; {layer} belongs there")
        parts = PARTS.get(kind, ())
        named[f"{layer}/{parts[part]}" if layer and part < len(parts) else name] = tensor
    return named


def _place(name: str) -> tuple[str, int, int]:
    """Class, number within the class, and number of the variable; the class is "" for a name of another kind.

    >>> _place("layers/conv2d_3/vars/1"), _place("layers/batch_normalization/vars/2")
    (('conv2d', 3, 1), ('batch_normalization', 0, 2))
    """
    match = re.search(rf"(?:^|/)({'|'.join(PARTS)})(?:_(\d+))?/vars/(\d+)$", name)
    return (match[1], int(match[2] or 0), int(match[3])) if match else ("", 0, 0)


def _orders(counts: dict[str, int]) -> dict[str, list[str]]:
    """Names of the layers of each class in order, for the network with these numbers of layers.

    Raises:
        UserError: no supported network has these numbers.
    """
    for architecture in VGG:
        convolutions = list(vgg_layers(architecture))
        if (counts["conv2d"], counts["batch_normalization"]) == (len(convolutions), 0):
            top = ["fc1", "fc2", "predictions"]
            return {"conv2d": convolutions, "dense": top if counts["dense"] == 3 else []}
    for architecture in DENSENET:
        orders = densenet_layers(architecture)
        if all(counts[kind] == len(orders[kind]) for kind in ("conv2d", "batch_normalization")):
            return orders
    counted = f"{counts['conv2d']} convolutions and {counts['batch_normalization']} batch normalizations"
    raise UserError(
        f"the file holds Keras weights of another network than those supported, {SUPPORTED}: it has {counted}"
    )
