"""Seconds of a training step: cxrlens' loop against plain PyTorch, the same network and batch, in one run.

python benchmarks/train_step.py [--size 224] [--steps 6]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np
import pandas as pd
import torch

from cxrlens.data.augment import Augmentation
from cxrlens.data.cache import ImageCache
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.training_options import TrainingOptions

ROWS = {
    "benchmark CNN": ModelOptions(name="benchmark"),
    "EfficientNet-Lite0, all layers": ModelOptions(name="all", backbone="tf_efficientnet_lite0"),
    "EfficientNet-Lite0, frozen": ModelOptions(name="frozen", backbone="tf_efficientnet_lite0", trained="head"),
}


def plain(row: ModelOptions, size: int, steps: int) -> float:
    """Median seconds of a step as anyone would write it: defaults throughout."""
    model = build_classifier(row, size, 0).train()
    optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad])
    images, labels = torch.rand(16, 1, size, size), torch.ones(16)
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(images), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


class Watch:
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def task(self, title: str, total: int) -> Watch:
        """Itself."""
        self.ends = []
        return self

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, done: int, total: int | None = None, **shown: object) -> None:
        """One more end."""
        self.ends.append(time.perf_counter())

    def say(self, line: str) -> None:
        """Nothing."""


def ours(row: ModelOptions, size: int, steps: int) -> float:
    """Median seconds of a step of the loop, flips and brightness included."""
    rng = np.random.default_rng(0)
    names = tuple(str(number) for number in range(16))
    pixels = rng.integers(0, 256, (16, size, size)).astype(np.uint8)
    cache = ImageCache(pixels, {name: row for row, name in enumerate(names)}, {}, pd.DataFrame())
    data = LabelledImages(cache, names, np.arange(16, dtype=np.float32) % 2)
    watch = Watch()
    augmentation = Augmentation(horizontal_flip=True, brightness=(0.5, 1.2))
    options = TrainingOptions(batch=16, epochs=1, steps=steps)
    device = choose_device("cpu")
    train(Fit(build_classifier(row, size, 0), data, data, options, augmentation, 0, 0, device), watch)
    return statistics.median(np.diff(watch.ends[:-1]).tolist())  # the last one holds the epoch's validation too


def main() -> None:
    """Prints hardware, versions, and a line a model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=8)
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    # All of the peer's first: ours changes the process's allocator for good.
    peers = {name: plain(row, asked.size, asked.steps) for name, row in ROWS.items()}
    for name, row in ROWS.items():
        own = ours(row, asked.size, asked.steps)
        print(
            f"{name}, {asked.size} px, batch 16: {own:.2f} s, plain PyTorch {peers[name]:.2f} s: "
            f"{own / peers[name]:.2f}"
        )


if __name__ == "__main__":
    main()
