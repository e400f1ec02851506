"""Published weight files made with random numbers, and their networks' forward passes, from the sources' definitions.

Nothing here comes from the package: layouts and forward passes are written from keras_applications/densenet.py and
vgg16.py, torchvision's DenseNet of 2017 (dotted names) and torchxrayvision's models.py. Files that Keras 3.15 and
tf-keras 2.21 wrote themselves have the groups, names and attributes that are written here; read by this package, random
VGG16 and DenseNet121 from all of their kinds of file gave Keras' own outputs to 3e-6 of the largest.
"""

from __future__ import annotations

import io
import json
import sys
import types
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = (6, 12, 24, 16)
GROWTH = 32

Arrays = dict[str, np.ndarray]


def keras_arrays(seed: int = 0, outputs: int = 14) -> Arrays:
    """Weights of Keras' DenseNet121 under its weight names, kernels HWIO, with variances where epsilon matters."""
    rng = np.random.default_rng(seed)
    made: Arrays = {}

    def conv(name: str, side: int, into: int, out: int) -> None:
        scale = (2 / (side * side * into)) ** 0.5
        made[f"{name}/kernel:0"] = rng.normal(0, scale, (side, side, into, out)).astype("f4")

    def norm(name: str, width: int) -> None:
        variance = 10 ** rng.uniform(-5.5, -1, width)
        made[f"{name}/gamma:0"] = (np.sqrt(variance) * rng.uniform(0.6, 1.4, width)).astype("f4")
        made[f"{name}/beta:0"] = rng.normal(0, 0.2, width).astype("f4")
        made[f"{name}/moving_mean:0"] = rng.normal(0, 0.3, width).astype("f4")
        made[f"{name}/moving_variance:0"] = variance.astype("f4")

    conv("conv1/conv", 7, 3, 64)
    norm("conv1/bn", 64)
    width = 64
    for stage, layers in enumerate(BLOCKS, start=2):
        for layer in range(1, layers + 1):
            base = f"conv{stage}_block{layer}"
            norm(f"{base}_0_bn", width)
            conv(f"{base}_1_conv", 1, width, 4 * GROWTH)
            norm(f"{base}_1_bn", 4 * GROWTH)
            conv(f"{base}_2_conv", 3, 4 * GROWTH, GROWTH)
            width += GROWTH
        if stage < 5:
            norm(f"pool{stage}_bn", width)
            conv(f"pool{stage}_conv", 1, width, width // 2)
            width //= 2
    norm("bn", width)
    made["predictions/kernel:0"] = rng.normal(0, 0.03, (width, outputs)).astype("f4")
    made["predictions/bias:0"] = np.zeros(outputs, "f4")
    return made


def write_keras(path: Path, arrays: Arrays, whole_model: bool = False) -> Path:
    """As `Model.save_weights` lays them out: a group a layer, named in attributes; `Model.save` adds a folder."""
    layers: dict[str, list[str]] = {"input_1": []}
    for name in arrays:
        layers.setdefault(name.rpartition("/")[0], []).append(name)
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        root.attrs["layer_names"] = np.array([name.encode() for name in layers])
        root.attrs["backend"] = b"tensorflow"
        for layer, names in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name in names:
                group.create_dataset(name, data=arrays[name])
    return path


def write_keras_3(path: Path, arrays: Arrays, names: bool = True, top: str = "layers", around: str = "") -> Path:
    """As Keras 3's `save_weights` lays them out: a group a layer by its class and number, its variables by number.

    Args:
        path: with the suffix `.keras`, the archive of a whole model.
        arrays: by Keras' weight names, in the network's order.
        names: whether layers say what they are called, as Keras 3 writes; tf-keras doesn't.
        top: "_layer_checkpoint_dependencies" in TensorFlow 2.13.
        around: a group that the network lies in, as inside another model.
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, part = name.removesuffix(":0").rpartition("/")
        layers.setdefault(layer, {})[part] = array
    content = io.BytesIO()
    counts: dict[str, int] = {}
    with h5py.File(content, "w") as file:
        for layer, parts in layers.items():
            kind = "batch_normalization" if "gamma" in parts or "beta" in parts else "conv2d"
            kind = "dense" if parts.get("kernel", np.zeros(1)).ndim == 2 else kind
            number = counts.setdefault(kind, 0)
            counts[kind] += 1
            group = file.create_group(f"{around}{top}/{kind}{f'_{number}' if number else ''}/vars")
            if names:
                group.attrs["name"] = layer.replace("/", "_")
            order = ("gamma", "beta", "moving_mean", "moving_variance") if kind[0] == "b" else ("kernel", "bias")
            for part, array in parts.items():
                group[str(order.index(part))] = array
        file["optimizer/vars/0"] = np.array(7)
        file["optimizer/vars/1"] = np.zeros(3, "f4")
    if path.suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
            archive.writestr("config.json", json.dumps({"class_name": "Functional"}))
            archive.writestr("model.weights.h5", content.getvalue())
    else:
        path.write_bytes(content.getvalue())
    return path


def vgg_arrays(seed: int = 0, top: bool = False, depths: tuple[int, ...] = (2, 2, 3, 3, 3)) -> Arrays:
    """Weights of Keras' VGG under its weight names, kernels HWIO; the top's are small, as no backbone keeps them."""
    rng = np.random.default_rng(seed)
    made: Arrays = {}
    width = 3
    for block, (depth, out) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), start=1):
        for place in range(1, depth + 1):
            scale = (2 / (9 * width)) ** 0.5
            kernel = rng.standard_normal((3, 3, width, out), dtype="f4") * np.float32(scale)
            made[f"block{block}_conv{place}/kernel:0"] = kernel
            made[f"block{block}_conv{place}/bias:0"] = rng.normal(0, 0.1, out).astype("f4")
            width = out
    for layer, (into, out) in {"fc1": (12, 8), "fc2": (8, 8), "predictions": (8, 10)}.items() if top else ():
        made[f"{layer}/kernel:0"] = rng.normal(0, 0.1, (into, out)).astype("f4")
        made[f"{layer}/bias:0"] = np.zeros(out, "f4")
    return made


def vgg_forward(arrays: Arrays, rgb: Tensor) -> Tensor:
    """Keras' VGG without top with its own `preprocess_input`, in float64, of RGB images [b, 3, h, w] in 0 to 255."""
    x = rgb.double()[:, [2, 1, 0]] - torch.tensor([103.939, 116.779, 123.68]).double().view(1, 3, 1, 1)  # BGR
    for block in range(1, 6):
        place = 1
        while (layer := f"block{block}_conv{place}") + "/kernel:0" in arrays:
            kernel, bias = (torch.from_numpy(arrays[f"{layer}/{part}:0"]).double() for part in ("kernel", "bias"))
            x = torch.relu(F.conv2d(x, torch.einsum("hwio->oihw", kernel), bias, padding=1))  # "same"
            place += 1
        x = F.max_pool2d(x, 2)
    return x


def keras_forward(path: Path, images: Tensor) -> Tensor:
    """Keras' DenseNet121 without top, in float64, from the file's own arrays; images [b, 3, h, w]."""
    with h5py.File(path, "r") as file:
        held: dict[str, np.ndarray] = {}
        file.visititems(lambda _, each: held.update({each.name: each[()]}) if isinstance(each, h5py.Dataset) else None)

    def array(layer: str, part: str) -> Tensor:
        return torch.from_numpy(held[f"/{layer}/{layer}/{part}:0"]).double()

    def conv(x: Tensor, layer: str, stride: int = 1, padding: str = "valid") -> Tensor:
        kernel = array(layer, "kernel")  # [h, w, in, out]
        if padding == "same":
            x = F.pad(x, (1, 1, 1, 1))
        return F.conv2d(x, torch.einsum("hwio->oihw", kernel), stride=stride)

    def bn(x: Tensor, layer: str) -> Tensor:
        gamma, beta = array(layer, "gamma"), array(layer, "beta")
        mean, variance = array(layer, "moving_mean"), array(layer, "moving_variance")
        return torch.einsum(
            "bchw,c->bchw", x - mean[:, None, None], gamma / torch.sqrt(variance + 1.001e-5)
        ) + beta.reshape(1, -1, 1, 1)

    x = F.pad(images.double(), (3, 3, 3, 3))  # ZeroPadding2D
    x = torch.relu(bn(conv(x, "conv1/conv", stride=2), "conv1/bn"))
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)  # zeros, not minus infinity
    for stage, layers in enumerate(BLOCKS, start=2):
        for layer in range(1, layers + 1):
            base = f"conv{stage}_block{layer}"
            new = conv(torch.relu(bn(x, f"{base}_0_bn")), f"{base}_1_conv")
            new = conv(torch.relu(bn(new, f"{base}_1_bn")), f"{base}_2_conv", padding="same")
            x = torch.cat([x, new], 1)
        if stage < 5:
            x = conv(torch.relu(bn(x, f"pool{stage}_bn")), f"pool{stage}_conv")
            x = F.avg_pool2d(x, 2, 2)
    return torch.relu(bn(x, "bn"))


def torch_state(channels: int = 3, dotted: bool = False, seed: int = 0, outputs: int = 14) -> OrderedDict[str, Tensor]:
    """A DenseNet121's state dict as PyTorch's DenseNets name it: `norm.1` in 2017, `norm1` since."""
    random = torch.Generator().manual_seed(seed)
    dot = "." if dotted else ""
    made: OrderedDict[str, Tensor] = OrderedDict()

    def conv(name: str, out: int, into: int, side: int) -> None:
        scale = (2 / (into * side * side)) ** 0.5 / (1000 if channels == 1 and name == "features.conv0" else 1)
        made[f"{name}.weight"] = torch.randn(out, into, side, side, generator=random) * scale

    def norm(name: str, width: int) -> None:
        variance = torch.rand(width, generator=random) * 0.9 + 0.1
        made[f"{name}.weight"] = variance.sqrt() * (torch.rand(width, generator=random) * 0.8 + 0.6)
        made[f"{name}.bias"] = torch.randn(width, generator=random) * 0.2
        made[f"{name}.running_mean"] = torch.randn(width, generator=random) * 0.3
        made[f"{name}.running_var"] = variance

    conv("features.conv0", 64, channels, 7)
    norm("features.norm0", 64)
    width = 64
    for block, layers in enumerate(BLOCKS, start=1):
        for layer in range(1, layers + 1):
            base = f"features.denseblock{block}.denselayer{layer}"
            norm(f"{base}.norm{dot}1", width)
            conv(f"{base}.conv{dot}1", 4 * GROWTH, width, 1)
            norm(f"{base}.norm{dot}2", 4 * GROWTH)
            conv(f"{base}.conv{dot}2", GROWTH, 4 * GROWTH, 3)
            width += GROWTH
        if block < 4:
            norm(f"features.transition{block}.norm", width)
            conv(f"features.transition{block}.conv", width // 2, width, 1)
            width //= 2
    norm("features.norm5", width)
    made["classifier.weight"] = torch.randn(outputs, width, generator=random) * 0.03
    made["classifier.bias"] = torch.zeros(outputs)
    return made


def torch_forward(state: dict[str, Tensor], images: Tensor, dotted: bool = False) -> Tensor:
    """The feature map of PyTorch's DenseNet121, in float64, from the state's own names."""
    dot = "." if dotted else ""

    def bn_relu(x: Tensor, name: str) -> Tensor:
        parts = [state[f"{name}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *parts, training=False, eps=1e-5))

    def conv(x: Tensor, name: str, **options: int) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"].double(), **options)

    x = F.max_pool2d(bn_relu(conv(images.double(), "features.conv0", stride=2, padding=3), "features.norm0"), 3, 2, 1)
    for block, layers in enumerate(BLOCKS, start=1):
        for layer in range(1, layers + 1):
            base = f"features.denseblock{block}.denselayer{layer}"
            new = conv(bn_relu(x, f"{base}.norm{dot}1"), f"{base}.conv{dot}1")
            x = torch.cat([x, conv(bn_relu(new, f"{base}.norm{dot}2"), f"{base}.conv{dot}2", padding=1)], 1)
        if block < 4:
            name = f"features.transition{block}"
            x = F.avg_pool2d(conv(bn_relu(x, f"{name}.norm"), f"{name}.conv"), 2)
    return bn_relu(x, "features.norm5")


def write_chexnet(path: Path, state: dict[str, Tensor], legacy: bool = True) -> Path:
    """arnoweng's checkpoint: an epoch, a score, the network behind DataParallel and a wrapper, an optimiser."""
    wrapped = OrderedDict()
    for name, tensor in state.items():
        wrapped["module.densenet121." + name.replace("classifier.", "classifier.0.")] = tensor
    checkpoint = {
        "epoch": 7,
        "best_loss": 0.15,
        "state_dict": wrapped,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
    }
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    return path


def write_xrv(path: Path, state: dict[str, Tensor], legacy: bool = True) -> Path:
    """torchxrayvision's release file: the module itself, pickled, its classes those of torchxrayvision.models."""
    parent, module = types.ModuleType("torchxrayvision"), types.ModuleType("torchxrayvision.models")

    def kind(name: str) -> type[nn.Sequential]:
        made = type(name, (nn.Sequential,), {"__module__": "torchxrayvision.models"})
        setattr(module, name, made)
        return made

    dense, block_of, layer_of, transition = (kind(n) for n in ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition"))

    def conv(name: str, **options: int) -> nn.Conv2d:
        weight = state[f"{name}.weight"]
        made = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], bias=False, **options)
        made.weight.data = weight.clone()
        return made

    def norm(name: str) -> nn.BatchNorm2d:
        made = nn.BatchNorm2d(len(state[f"{name}.weight"]))
        made.load_state_dict({part: state[f"{name}.{part}"] for part in
                              ("weight", "bias", "running_mean", "running_var")}, strict=False)  # fmt: skip
        return made

    features = nn.Sequential(
        OrderedDict(
            conv0=conv("features.conv0", stride=2, padding=3),
            norm0=norm("features.norm0"),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
    )
    for block, layers in enumerate(BLOCKS, start=1):
        whole = block_of()
        for layer in range(1, layers + 1):
            base = f"features.denseblock{block}.denselayer{layer}"
            parts = OrderedDict(norm1=norm(f"{base}.norm1"), relu1=nn.ReLU(), conv1=conv(f"{base}.conv1"),
                                norm2=norm(f"{base}.norm2"), relu2=nn.ReLU(),
                                conv2=conv(f"{base}.conv2", padding=1))  # fmt: skip
            made = layer_of(parts)
            made.drop_rate = 0
            whole.add_module(f"denselayer{layer}", made)
        features.add_module(f"denseblock{block}", whole)
        if block < 4:
            name = f"features.transition{block}"
            parts = OrderedDict(norm=norm(f"{name}.norm"), relu=nn.ReLU(), conv=conv(f"{name}.conv"),
                                pool=nn.AvgPool2d(2, 2))  # fmt: skip
            features.add_module(f"transition{block}", transition(parts))
    features.add_module("norm5", norm("features.norm5"))
    top = nn.Linear(1024, len(state["classifier.bias"]))
    network = dense(OrderedDict(features=features, classifier=top))
    network.op_threshs = None
    sys.modules.update({"torchxrayvision": parent, "torchxrayvision.models": module})
    try:
        with warnings.catch_warnings():  # the old format keeps each class's source, and these have none
            warnings.simplefilter("ignore")
            torch.save(network, path, _use_new_zipfile_serialization=not legacy)
    finally:
        del sys.modules["torchxrayvision"], sys.modules["torchxrayvision.models"]
    return path
