"""Do synthetic pictures activate their units? Channels of a late layer compared with a real cohort.

For each channel: the median over seeds of its activation (mean over the map) on the displayed picture, beside the 99th
percentile and the maximum of the same channel over the paper's cohort. The shared checkpoints carry no preprocessing;
theirs is (x - 0.5) / 0.25.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor

from cxrlens.data.images import to_uint8
from cxrlens.data.seeds import generator
from cxrlens.data.sources.covid_chestxray import CovidChestXray
from cxrlens.explain.activation_maximization import (
    PRESETS,
    MaximizationInterrupted,
    MaximizationResult,
    Objective,
    assess_convergence,
    doubling,
    maximize,
    reference_activations,
)
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.report.figures import convergence_figure, formation_figure, save, save_formation_gif
from cxrlens.train.device import choose_device


@dataclass(frozen=True)
class Network:
    """A shared checkpoint, and the late convolution whose channels are maximised."""

    weights: str
    size: int
    layer: str
    channels: int


NETWORKS = {
    "tf_efficientnet_lite0": Network("tf_efficientnet_lite0-cxr7k-160.safetensors", 160, "conv_head", 1280),
    "densenet121": Network(
        "densenet121-scratch-cxr7k-128.safetensors", 128, "features.denseblock4.denselayer16.conv2", 32
    ),
}


def cohort(root: Path, size: int) -> Tensor:
    """The available frontal images of the paper, float32 [n, 1, size, size] in [0, 1]."""
    images = CovidChestXray().cohort(root)
    pixels = [to_uint8(images.read(path).pixels, size, "bilinear") for path in images.readable["path"]]
    return torch.from_numpy(np.stack(pixels)[:, None].astype(np.float32) / 255)


def build(name: str, shared: Path) -> Classifier:
    """The checkpoint with a random head, which no objective here uses."""
    network = NETWORKS[name]
    row = ModelOptions(name=name, backbone=name, weights=str(shared / "weights" / network.weights))
    model = build_classifier(row, network.size, 0).eval()
    model.set_preprocessing(Preprocessing((0.5,) * 3, (0.25,) * 3))
    return choose_device("cpu").place(model)


def table(result: MaximizationResult, reference: dict[Objective, np.ndarray]) -> None:
    """Prints a line for each channel, and how many channels are above the 99th percentile."""
    print("channel   activation, by seed         median   cohort: median     99%     max   median is")
    above, pictures = [], []
    complete = np.isfinite(result.curve).all(1)
    for objective, real in reference.items():
        rows = [row for row, other in enumerate(result.objectives) if other == objective and complete[row]]
        if not rows:
            continue
        median = assess_convergence(float(np.median(result.activations[rows])), real)
        pictures += [assess_convergence(float(value), real) for value in result.activations[rows]]
        above.append(median.activation > median.percentile_99)
        by_seed = " ".join(f"{value:8.3f}" for value in result.activations[rows])
        print(
            f"{objective.units[0].channel:7d}   {by_seed:27s}{median.activation:8.3f}   {np.median(real):14.3f}"
            f"{median.percentile_99:8.3f}{median.highest:8.3f}   {'above' if above[-1] else 'below'} 99%, {median}"
        )
    print(f"channels whose median is above the 99th percentile: {sum(above)} of {len(above)}")
    print(f"pictures above it: {sum(each.activation > each.percentile_99 for each in pictures)} of {len(pictures)}")
    print(f"pictures that converged: {sum(each.converged for each in pictures)} of {len(pictures)}")


def main() -> None:
    """Prints hardware, versions and the table; with --out also writes the pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=list(NETWORKS), default="tf_efficientnet_lite0")
    parser.add_argument("--preset", default="modern")
    parser.add_argument("--layer")
    parser.add_argument("--channels", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=512)
    parser.add_argument("--colour", choices=["decorrelated", "rgb", "grey"])
    parser.add_argument("--deviation", type=float, help="deviation of the spectrum at the start")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    versions = f"torch {torch.__version__}, timm {timm.__version__}, Python {platform.python_version()}"
    print(f"{platform.processor() or platform.machine()}, 1 thread, {versions}")
    network, model = NETWORKS[args.network], build(args.network, args.shared)
    layer = args.layer or network.layer
    numbers = sorted(generator(0).choice(network.channels, args.channels, replace=False).tolist())
    objectives = [Objective.channel(layer, number) for number in numbers]
    changes = {"iterations": args.steps, "snapshots": doubling(args.steps)}
    options = PRESETS[args.preset].model_copy(update=changes)
    if args.colour:
        form = options.parametrization.model_copy(update={"colour": args.colour})
        options = options.model_copy(update={"parametrization": form})
    if args.deviation:
        form = options.parametrization.model_copy(update={"deviation": args.deviation})
        options = options.model_copy(update={"parametrization": form})
    images = cohort(args.shared / "data" / "covid-chestxray-2020-05-04", network.size)
    reference = dict(zip(objectives, reference_activations(model, objectives, images), strict=True))
    before = time.process_time()
    try:
        result = maximize(model, objectives, options, seeds=range(args.seeds))
    except MaximizationInterrupted as stopped:
        result = stopped.result
        print("interrupted: complete pictures only")
    minutes = (time.process_time() - before) / 60
    print(f"{args.network}, {layer}, {network.size} px; the cohort: {len(images)} images")
    print(f"{args.preset}, {options.parametrization.colour}, {args.steps} steps: {minutes:.1f} minutes of one core")
    table(result, reference)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        for title, picture in zip(result.titles(), result.pictures, strict=True):
            Image.fromarray(np.rint(picture.transpose(1, 2, 0) * 255).astype(np.uint8)).save(args.out / f"{title}.png")
        arrays = {"curve": result.curve, "shown": result.activations, "reference": list(reference.values())}
        np.savez(args.out / "activations.npz", **arrays)
        save(convergence_figure(result, reference), args.out / "convergence")
        save(formation_figure(result), args.out / "formation")
        save_formation_gif(result, args.out / "formation.gif")


if __name__ == "__main__":
    main()
