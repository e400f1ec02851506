"""Do attribution methods point at what a network uses? Measured on the phantom, where the truth is known.

Two networks of one architecture start from the same weights and train on the same synthetic patients. For one, half of
either class has the planted corner marker, so the marker predicts nothing. For the other, every positive image and no
negative one has it. Then images of unseen patients with both a finding and a marker are explained.

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
TEST_SETS = {"finding and marker": SHORTCUT, "finding alone": {}, "marker alone": SHORTCUT | {"strength": 0.0}}
OPTIONS = {"integrated_gradients": {"steps": 16}, "occlusion": {"stride": 20}, "smoothgrad": {"samples": 10}}
CPU = choose_device("cpu")


@dataclass(frozen=True)
class SampleImages:
    """Unseen positive images, float [n, 1, h, w], and their true regions by name, each bool [n, h, w]."""

    images: torch.Tensor
    truth: dict[str, np.ndarray]


def phantom(patients: int, seed: int, size: int, **options: float) -> Phantom:
    """Phantom images, one for each patient, at the networks' size."""
    options = {"strength": STRENGTH} | options
    return Phantom(patients=patients, images_per_patient=(1, 1), seed=seed, size=size, **options)


def labelled_images(source: Phantom, size: int) -> LabelledImages:
    """The images of a phantom, decoded, with their labels."""
    table = source.cohort().table
    cache = build_cache(source.cohort(), size, "bilinear")
    return LabelledImages(cache, tuple(table["image"]), table["label"].to_numpy(np.float32))


def trained(options: dict[str, float], args: argparse.Namespace) -> Classifier:
    """A network trained on a phantom with these options."""
    model = build_classifier(NETWORK, args.size, 0)
    data = labelled_images(phantom(args.patients, TRAINING, args.size, **options), args.size)
    validation = LabelledImages(data.cache, data.images[:16], data.labels[:16])  # the history is not used
    settings = TrainingOptions(epochs=args.epochs, learning_rate=3e-4)
    train(Fit(model, data, validation, settings, Augmentation(), 0, 0, CPU))
    return model


def sample_images(args: argparse.Namespace) -> SampleImages:
    """Unseen positive images with a marker, with the mask of the finding and the box around the marker's letters."""
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
    return SampleImages(torch.stack(images)[:, None], {name: np.stack(masks) for name, masks in truth.items()})


def _resized(values: np.ndarray, size: int) -> np.ndarray:
    return to_uint8(values.astype(np.float32), size, "bilinear").astype(np.float32) / 255


def edges(images: torch.Tensor) -> np.ndarray:
    """A control without a network: the magnitude of the image's gradient, [n, h, w]."""
    return np.stack([np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1)) for image in images[:, 0].numpy()])


def scores(evidence: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two scores of each image, [n]: the region's share of the evidence over its share of the area, and a peak hit.

    The peak hits if it is at most a twentieth of the side outside the region. A map without evidence scores 0 in both.
    """
    mass = evidence.clip(min=0)
    share = (mass * region).sum((1, 2)) / np.maximum(mass.sum((1, 2)), 1e-30)
    peaks = mass.reshape(len(mass), -1).argmax(1)
    hits = widened(region).reshape(len(mass), -1)[np.arange(len(mass)), peaks]
    return share / region.mean((1, 2)), hits & (mass.max((1, 2)) > 0)


def widened(regions: np.ndarray) -> np.ndarray:
    """The regions, widened by the tolerance of the pointing game."""
    return np.stack([ndimage.distance_transform_edt(~region) <= region.shape[-1] / 20 for region in regions])


def cell(values: np.ndarray, digits: int) -> str:
    """A mean with its interval from a bootstrap over images; each patient has one image."""
    draws = values[np.random.default_rng(0).integers(len(values), size=(2000, len(values)))].mean(1)
    low, high = percentile_interval(draws)
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def row(name: str, evidence: np.ndarray, truth: dict[str, np.ndarray]) -> str:
    """The table row of one method."""
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
    sample = sample_images(args)
    models = {}
    for name, options in MODELS.items():
        began = time.perf_counter()
        models[name] = trained(options, args)
        print(f"{name}: trained in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print("| AUC on unseen images with |", " | ".join(TEST_SETS), "|\n|", "--- | " * (1 + len(TEST_SETS)))
    test_sets = [
        labelled_images(phantom(80, UNSEEN, args.size, **options), args.size) for options in TEST_SETS.values()
    ]
    for name, model in models.items():
        aucs = [roc_auc_score(data.labels, FixedImages(model, data, CPU).logits()) for data in test_sets]
        print(f"| {name} |", " | ".join(f"{auc:.3f}" for auc in aucs), "|")
    chance = ", ".join(f"{name} {widened(region).mean():.2f}" for name, region in sample.truth.items())
    print(f"\n{len(sample.images)} images; chance of a hit by a random point: {chance}")
    header = (
        "| method | finding: evidence × chance | finding: peak hits | marker: evidence × chance | marker: peak hits |"
    )
    for name, model in models.items():
        print(f"\n**The network that {name}**\n\n{header}\n| --- | --- | --- | --- | --- |", flush=True)
        for method in METHODS:
            began = time.perf_counter()
            evidence = attribute(model, sample.images, method, **OPTIONS.get(method, {})).enlarged().numpy()
            seconds = (time.perf_counter() - began) / len(sample.images)
            print(row(f"`{method}` ({seconds:.2f} s an image)", evidence, sample.truth), flush=True)
        print(row("the image's edges, no network", edges(sample.images), sample.truth))


if __name__ == "__main__":
    main()
