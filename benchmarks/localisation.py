"""Do attribution methods point at what a network uses? Measured where the truth is known: on the phantom.

Two networks of one architecture, from the same weights and the same synthetic patients: for one the planted corner
marker tells nothing (half of either class carries it), for the other every positive and no negative carries it. Unseen
patients with both a finding and a marker are then explained.

python benchmarks/localisation.py [--patients 160] [--images 16] [--size 160] [--epochs 5]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from cxrlens.audit.probes.severity import percentile_interval
from cxrlens.data.augment import Augmentation
from cxrlens.data.cache import build_cache
from cxrlens.data.images import to_uint8
from cxrlens.data.sources.phantom import Phantom
from cxrlens.explain.attribute import attribute
from cxrlens.explain.methods import METHODS
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import FixedImages, LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.training_options import TrainingOptions

NETWORK = ModelOptions(name="lite0", backbone="tf_efficientnet_lite0", weights="efficientnet-lite0-imagenet")
TRAINING, UNSEEN = 1, 2  # seeds of the two populations
STRENGTH = 1.7
SHORTCUT = {"marker_positive": 1.0, "marker_negative": 0.0}
MODELS = {"learned the finding": {"marker_positive": 0.5, "marker_negative": 0.5}, "learned the marker": SHORTCUT}
JUDGED = {"finding and marker": SHORTCUT, "finding alone": {}, "marker alone": SHORTCUT | {"strength": 0.0}}
LIGHTER = {"integrated_gradients": {"steps": 16}, "occlusion": {"stride": 20}, "smoothgrad": {"samples": 10}}
CPU = choose_device("cpu")


@dataclass(frozen=True)
class Explained:
    """Unseen positives: float [n, 1, h, w], and where the truth is, bool [n, h, w] each."""

    images: torch.Tensor
    truth: dict[str, np.ndarray]


def phantom(patients: int, seed: int, size: int, **options: float) -> Phantom:
    """One image a patient, drawn at the networks' size."""
    chosen = {"strength": STRENGTH} | options
    return Phantom(patients=patients, images_per_patient=(1, 1), seed=seed, size=size, **chosen)


def drawn(source: Phantom, size: int) -> LabelledImages:
    """Its images, decoded, with labels."""
    table = source.cohort().table
    cache = build_cache(source.cohort(), size, "bilinear")
    return LabelledImages(cache, tuple(table["image"]), table["label"].to_numpy(np.float32))


def trained(options: dict[str, float], args: argparse.Namespace) -> Classifier:
    """A network trained on that population."""
    model = build_classifier(NETWORK, args.size, 0)
    data = drawn(phantom(args.patients, TRAINING, args.size, **options), args.size)
    few = LabelledImages(data.cache, data.images[:16], data.labels[:16])  # the history is not looked at
    settings = TrainingOptions(epochs=args.epochs, learning_rate=3e-4)
    train(Fit(model, data, few, settings, Augmentation(), 0, 0, CPU))
    return model


def explained(args: argparse.Namespace) -> Explained:
    """Unseen positives with a marker, and the two regions: the finding's mask, the box around the marker's letters."""
    source = phantom(4 * args.images, UNSEEN, args.size, **SHORTCUT)
    table = source.cohort().table
    images, truth = [], {"finding": [], "marker": []}
    for path in table.loc[table["label"] == 1, "path"]:
        drawing = source.truth(path)
        masks = {name: _resized(getattr(drawing, name)[None], args.size) > 0.5 for name in truth}
        if len(images) < args.images and all(mask.any() for mask in masks.values()):
            images.append(torch.from_numpy(_resized(drawing.pixels, args.size)))
            truth["finding"].append(masks["finding"])
            truth["marker"].append(np.zeros_like(masks["marker"]))
            truth["marker"][-1][ndimage.find_objects(masks["marker"].astype(int))[0]] = True
    return Explained(torch.stack(images)[:, None], {name: np.stack(masks) for name, masks in truth.items()})


def _resized(values: np.ndarray, size: int) -> np.ndarray:
    return to_uint8(values.astype(np.float32), size, "bilinear").astype(np.float32) / 255


def edges(images: torch.Tensor) -> np.ndarray:
    """The control that knows no network: the magnitude of each image's slope."""
    return np.stack([np.hypot(ndimage.sobel(each, 0), ndimage.sobel(each, 1)) for each in images[:, 0].numpy()])


def scores(evidence: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each image: the region's share of positive evidence over its share of the area, and whether the peak hits.

    A map without evidence scores 0 in both. A peak up to a twentieth of the side beside the region hits.
    """
    mass = evidence.clip(min=0)
    inside = (mass * region).sum((1, 2)) / np.maximum(mass.sum((1, 2)), 1e-30)
    peaks = mass.reshape(len(mass), -1).argmax(1)
    hits = wide(region).reshape(len(mass), -1)[np.arange(len(mass)), peaks]
    return inside / region.mean((1, 2)), hits & (mass.max((1, 2)) > 0)


def wide(region: np.ndarray) -> np.ndarray:
    """The regions with the pointing game's tolerance."""
    return np.stack([ndimage.distance_transform_edt(~each) <= region.shape[-1] / 20 for each in region])


def cell(values: np.ndarray, digits: int) -> str:
    """A mean with its interval from a bootstrap over images, which are patients here."""
    draws = values[np.random.default_rng(0).integers(len(values), size=(2000, len(values)))].mean(1)
    low, high = percentile_interval(draws)
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def row(name: str, evidence: np.ndarray, truth: dict[str, np.ndarray]) -> str:
    """One method's line."""
    cells = [name]
    for region in truth.values():
        ratio, hits = scores(evidence, region)
        cells += [cell(ratio, 1), cell(hits.astype(float), 2)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser()
    for name, value in (("patients", 160), ("images", 16), ("size", 160), ("epochs", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    sample = explained(args)
    models = {}
    for name, options in MODELS.items():
        began = time.perf_counter()
        models[name] = trained(options, args)
        print(f"{name}: trained in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print("| AUC on unseen images with |", " | ".join(JUDGED), "|\n|", "--- | " * (1 + len(JUDGED)))
    judged = [drawn(phantom(80, UNSEEN, args.size, **options), args.size) for options in JUDGED.values()]
    for name, model in models.items():
        aucs = [roc_auc_score(each.labels, FixedImages(model, each, CPU).logits()) for each in judged]
        print(f"| {name} |", " | ".join(f"{auc:.3f}" for auc in aucs), "|")
    chance = ", ".join(f"{name} {wide(region).mean():.2f}" for name, region in sample.truth.items())
    print(f"\n{len(sample.images)} images; chance of a hit by a random point: {chance}")
    header = (
        "| method | finding: evidence × chance | finding: peak hits | marker: evidence × chance | marker: peak hits |"
    )
    for name, model in models.items():
        print(f"\n**The network that {name}**\n\n{header}\n| --- | --- | --- | --- | --- |", flush=True)
        for method in METHODS:
            began = time.perf_counter()
            found = attribute(model, sample.images, method, **LIGHTER.get(method, {})).enlarged().numpy()
            seconds = (time.perf_counter() - began) / len(sample.images)
            print(row(f"`{method}` ({seconds:.2f} s an image)", found, sample.truth), flush=True)
        print(row("the image's edges, no network", edges(sample.images), sample.truth))


if __name__ == "__main__":
    main()
