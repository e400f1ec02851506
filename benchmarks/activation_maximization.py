"""Do the made pictures move their units? Channels of a late layer, after so many steps, against a real cohort.

For each channel the median over seeds of its activation (mean over the map) on the picture as shown, beside the 99th
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
    Activation,
    MaximizationInterrupted,
    Objective,
    doubling,
    judge,
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
    """The frontals of the paper that are there, float32 [n, 1, size, size] in [0, 1]."""
    listed = CovidChestXray().cohort(root)
    pixels = [to_uint8(listed.read(path).pixels, size, "bilinear") for path in listed.readable["path"]]
    return torch.from_numpy(np.stack(pixels)[:, None].astype(np.float32) / 255)


def build(name: str, shared: Path) -> Classifier:
    """The checkpoint under a random head, which no objective here asks."""
    network = NETWORKS[name]
    row = ModelOptions(name=name, backbone=name, weights=str(shared / "weights" / network.weights))
    model = build_classifier(row, network.size, 0).eval()
    model.set_preprocessing(Preprocessing((0.5,) * 3, (0.25,) * 3))
    return choose_device("cpu").place(model)


def table(found: Activation, reference: dict[Objective, np.ndarray]) -> None:
    """Prints a line a channel, and how many are above the 99th percentile."""
    print("channel   shown, by seed              median   cohort: median     99%     max   median is")
    good, singles = [], []
    complete = np.isfinite(found.curve).all(1)
    for objective, real in reference.items():
        rows = [row for row, each in enumerate(found.objectives) if each == objective and complete[row]]
        if not rows:
            continue
        verdict = judge(float(np.median(found.shown[rows])), real)
        singles += [judge(float(value), real) for value in found.shown[rows]]
        good.append(verdict.shown > verdict.percentile_99)
        each = " ".join(f"{value:8.3f}" for value in found.shown[rows])
        print(
            f"{objective.units[0].channel:7d}   {each:27s}{verdict.shown:8.3f}   {np.median(real):14.3f}"
            f"{verdict.percentile_99:8.3f}{verdict.most:8.3f}   {'above' if good[-1] else 'below'} 99%, {verdict}"
        )
    print(f"channels whose median is above the 99th percentile: {sum(good)} of {len(good)}")
    print(f"pictures above it: {sum(v.shown > v.percentile_99 for v in singles)} of {len(singles)}")
    print(f"pictures that converged: {sum(v.converged for v in singles)} of {len(singles)}")


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
    parser.add_argument("--deviation", type=float, help="of the spectrum at the start, if not the preset's")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    versions = f"torch {torch.__version__}, timm {timm.__version__}, Python {platform.python_version()}"
    print(f"{platform.processor() or platform.machine()}, 1 thread, {versions}")
    network, model = NETWORKS[asked.network], build(asked.network, asked.shared)
    layer = asked.layer or network.layer
    numbers = sorted(generator(0).choice(network.channels, asked.channels, replace=False).tolist())
    objectives = [Objective.channel(layer, number) for number in numbers]
    changes = {"iterations": asked.steps, "snapshots": doubling(asked.steps)}
    options = PRESETS[asked.preset].model_copy(update=changes)
    if asked.colour:
        form = options.parametrization.model_copy(update={"colour": asked.colour})
        options = options.model_copy(update={"parametrization": form})
    if asked.deviation:
        form = options.parametrization.model_copy(update={"deviation": asked.deviation})
        options = options.model_copy(update={"parametrization": form})
    images = cohort(asked.shared / "data" / "covid-chestxray-2020-05-04", network.size)
    reference = dict(zip(objectives, reference_activations(model, objectives, images), strict=True))
    before = time.process_time()
    try:
        found = maximize(model, objectives, options, seeds=range(asked.seeds))
    except MaximizationInterrupted as stopped:
        found = stopped.activation
        print("interrupted: complete pictures only")
    minutes = (time.process_time() - before) / 60
    print(f"{asked.network}, {layer}, {network.size} px; the cohort: {len(images)} images")
    print(f"{asked.preset}, {options.parametrization.colour}, {asked.steps} steps: {minutes:.1f} minutes of one core")
    table(found, reference)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        for title, picture in zip(found.titles(), found.pictures, strict=True):
            Image.fromarray(np.rint(picture.transpose(1, 2, 0) * 255).astype(np.uint8)).save(asked.out / f"{title}.png")
        np.savez(asked.out / "found.npz", curve=found.curve, shown=found.shown, reference=list(reference.values()))
        save(convergence_figure(found, reference), asked.out / "convergence")
        save(formation_figure(found), asked.out / "formation")
        save_formation_gif(found, asked.out / "formation.gif")


if __name__ == "__main__":
    main()
