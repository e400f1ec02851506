"""CPU seconds of a training step of the paper's networks: cxrlens against Keras, in turn, in one run.

    python benchmarks/training_step.py [--study studies/paper.toml] [--only densenet121_all] [--repeats 4]

The rows of the study with a result in the paper, each with its batch, its augmentation and its head, by the loop that
`cxrlens run` uses (`Fit`) and by Keras' `fit` with an `ImageDataGenerator`. Images are random, and so are all weights.
A network without a bank of features computes its features in every step, as Keras does.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers import ROOT, Enough, Peer, Turns, median, one_thread, row
from record import record

from cxrlens.data.augment import Augmentation
from cxrlens.data.cache import ImageCache
from cxrlens.models.classifier import build_classifier
from cxrlens.study import ModelRow, Study, read_study
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train


def title(model: ModelRow) -> str:
    """Name of a row in the results, such as "densenet121_all"."""
    architecture = model.backbone.split(".")[0]
    return architecture if architecture == "benchmark_cnn" else f"{architecture}_{_parts(model)}"


def _parts(model: ModelRow) -> str:
    return "frozen" if model.trained == "head" else "all"


def paper_rows(study: Study) -> list[ModelRow]:
    """The study's rows that the paper has too, with random weights."""
    return [row.model_copy(update={"weights": "random"}) for row in study.models if row.paper]


def images(count: int, size: int) -> LabelledImages:
    """Random images, every second one positive."""
    names = tuple(map(str, range(count)))
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size)).astype(np.uint8)
    cache = ImageCache(pixels, {name: number for number, name in enumerate(names)}, {}, pd.DataFrame())
    return LabelledImages(cache, names, np.arange(count, dtype=np.float32) % 2)


def task(model: ModelRow, augmentation: Augmentation, size: int, kind: str = "training_step") -> dict[str, Any]:
    """The peer's task: the same network, batch and augmentation."""
    return {
        "kind": kind,
        "architecture": model.backbone.split(".")[0],
        "trained": model.trained,
        "batch": model.batch,
        "size": size,
        "learning_rate": model.learning_rate,
        "augmentation": (augmentation if model.augment else Augmentation()).model_dump(mode="json"),
    }


def fit_of(model: ModelRow, augmentation: Augmentation, size: int, train_images: int) -> Fit:
    """The training as `cxrlens run` starts it, on random images and without a validation set."""
    network, data = build_classifier(model, size, 0), images(train_images, size)
    return Fit(network, data, None, model, augmentation, 0, 0, choose_device("cpu"), title=model.name)


def step(model: ModelRow, augmentation: Augmentation, size: int, repeats: int) -> dict[str, Any]:
    """A row of the results."""
    with Peer(task(model, augmentation, size)) as peer:
        turns = Turns(repeats, model.name, peer)
        with suppress(Enough):
            train(fit_of(model, augmentation, size, 32), turns)
        unit = f"CPU s a step of {model.batch}"
        return row(f"training_step/{title(model)}", median(turns.seconds), median(peer.seconds), unit, peer.versions)


def main() -> None:
    """Measures, prints and records the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=ROOT / "studies" / "paper.toml")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--repeats", type=int, default=4)
    asked = parser.parse_args()
    one_thread()
    study, _ = read_study(asked.study)
    for name, model in {title(model): model for model in paper_rows(study)}.items():
        if asked.only is None or name in asked.only:
            record([step(model, study.augment, asked.size, asked.repeats)])


if __name__ == "__main__":
    main()
