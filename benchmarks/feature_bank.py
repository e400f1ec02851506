"""Frozen backbones: features of drawn views, computed once, against a new augmentation at every step.

python benchmarks/feature_bank.py --data FOLDER [--views 16] [--epochs 12] [--seeds 3]

Trains EfficientNet-Lite0 (ImageNet, frozen, the paper's head) with the settings of studies/paper.toml on the paper's
cohort, both ways, and prints the AUCs, their paired difference, and the CPU seconds of each training. Then it times a
step of networks with the shapes of VGG16 and DenseNet121 both ways. `--out FILE` writes the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import cxrlens
from cxrlens.data.augment import Augmentation
from cxrlens.data.cache import ImageCache
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.pipeline.fit import train_network, training_tasks
from cxrlens.pipeline.prepare import prepare, trainable_rows
from cxrlens.progress import SILENT
from cxrlens.run_folder import RunFolder
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import BankInputs, Inputs, LabelledImages, PixelInputs, choose_inputs
from cxrlens.train.order import Order, Views

STUDY = Path(__file__).parents[1] / "studies" / "paper.toml"
ROW = "EfficientNet-Lite0, ImageNet, frozen (not in the paper)"
TRAIN, VALIDATION = 193, 96  # images of the paper's split
SHAPES = {"VGG16": "vgg16.tv_in1k", "DenseNet121": "densenet121", "EfficientNet-Lite0": "tf_efficientnet_lite0"}


def cohort(data: Path, views: int, epochs: int, seeds: int, folder: Path) -> dict[str, Any]:
    """AUCs and CPU seconds of both ways on the paper's cohort."""
    study = cxrlens.Study.load(STUDY)
    row = next(row for row in study.models if row.name == ROW).model_copy(update={"epochs": epochs})
    rows = (
        row.model_copy(update={"name": "new augmentation at every step"}),
        row.model_copy(update={"name": f"{views} views", "views": views}),
    )
    study = study.model_copy(update={"models": rows, "seeds": tuple(range(seeds))})
    trainable, _ = trainable_rows(study, STUDY.parent)
    prepared = prepare(study, data)
    for trainable_row in trainable:
        prepared.pixels.at(trainable_row.size)
    device, run = choose_device("cpu"), RunFolder(folder)
    seconds: dict[str, list[float]] = {row.name: [] for row in rows}
    predictions = []
    for task in training_tasks(prepared, trainable):
        began = time.process_time()
        train_network(task, prepared, run, device, STUDY.parent, SILENT)
        seconds[task.row.name].append(round(time.process_time() - began, 1))
        print(f"{task.title}: {seconds[task.row.name][-1]} s of CPU", flush=True)
        predictions.append(run.read_table(task.unit(run).folder / "predictions.csv"))
    table = pd.concat(predictions)
    table["patient"] = table["patient"].replace(prepared.groups)
    scores = {
        name: of_model.pivot(index="seed", columns="image", values="logit") for name, of_model in table.groupby("model")
    }
    facts = table.drop_duplicates("image").set_index("image").loc[scores[rows[0].name].columns]
    labels, patients = facts["label"].to_numpy(), facts["patient"].to_numpy()
    fresh, banked = (scores[row.name].to_numpy() for row in rows)
    difference = cxrlens.auc_difference(labels, banked, fresh, patients)
    return {
        "steps": row.steps_an_epoch(len(prepared.splits[0].train)) * epochs,
        "cpu_seconds": seconds,
        "auc": {row.name: str(cxrlens.auc_interval(labels, scores[row.name].to_numpy(), patients)) for row in rows},
        "difference": str(difference),
    }


def steps(views: int, size: int = 224) -> dict[str, Any]:
    """CPU seconds of a step of 16 images, with the backbone and from the features, and of the features of one view."""
    rng, device = np.random.default_rng(0), choose_device("cpu")
    names = tuple(str(number) for number in range(16))
    cache = ImageCache(
        rng.integers(0, 256, (16, size, size)).astype(np.uint8), {name: row for row, name in enumerate(names)}, {},
        pd.DataFrame(),
    )  # fmt: skip
    data = LabelledImages(cache, names, np.arange(16, dtype=np.float32) % 2)
    augmentation = Augmentation(horizontal_flip=True, brightness=(0.5, 1.2))
    results = {}
    for title, backbone in SHAPES.items():
        row = ModelOptions(name=title, backbone=backbone, trained="head")
        model = device.place(build_classifier(row, size, 0)).train()
        began = time.process_time()
        banked = choose_inputs(model, data, augmentation, 1000, device, views=Views(names, augmentation, 2))
        feature = (time.process_time() - began) / (2 * len(names))
        assert isinstance(banked, BankInputs)
        fresh = _step_seconds(model, PixelInputs(model, data, device), Order(16, 16, 0, 0), augmentation, 4)
        order = Order(16, 16, 0, 0, views=Views(names, augmentation, 2))
        fast = _step_seconds(model, banked, order, augmentation, 40)
        paper = {"VGG16": 1500, "DenseNet121": 3000, "EfficientNet-Lite0": 1500}[title]
        evaluated = (TRAIN + VALIDATION) * feature  # each image once without augmentation, for the predictions
        first, whole = TRAIN * views * feature + paper * fast + evaluated, paper * fresh + evaluated
        results[title] = {
            "step": round(fresh, 4), "step_from_features": round(fast, 5), "features_of_a_view": round(feature, 4),
            "paper_steps": paper, "training": round(whole), "first_seed": round(first),
            "further_seed": round(paper * fast, 1), "further_share": round(paper * fast / first, 3),
            "ratio_first": round(whole / first, 1),
        }  # fmt: skip
        print(title, results[title], flush=True)
    return results


def _step_seconds(model: Any, inputs: Inputs, order: Order, augmentation: Augmentation, count: int) -> float:
    """Median CPU seconds of a training step, after two that warm up."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=0.0, fused=True)
    seconds = []
    for step in range(count + 2):
        began = time.process_time()
        logits = inputs.logits(order.rows(step), order.parameters(step, augmentation))
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(logits, torch.ones(16)).backward()
        optimizer.step()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds[2:])


def main() -> None:
    """Prints and writes the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="the paper's cohort, from `cxrlens data fetch covid-chestxray`")
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CXRLENS_CACHE"] = f"{folder}/cache"  # empty, so that the first seed computes its features
        figures: dict[str, Any] = {"steps": steps(asked.views)}
        if asked.data:
            figures["cohort"] = cohort(asked.data, asked.views, asked.epochs, asked.seeds, Path(folder) / "run")
    text = json.dumps(figures, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
