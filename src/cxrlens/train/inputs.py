"""Inputs of the training loop: pixels, or, for a frozen backbone, feature maps that are computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrlens.data.augment import Augmentation, Parameters, apply
from cxrlens.data.finding_sets import Pixels
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device
from cxrlens.train.predict import predict_batches, probabilities

BANK_LIMIT = 4 << 30  # bytes of feature maps in memory; larger ones are computed at every step


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels, read from the cache.

    Attributes:
        cache: cache of the pixels.
        images: names of the images, n of them.
        labels: float32 [n], 1 or 0; of several findings [n, findings], NaN for an unknown label.
    """

    cache: Pixels
    images: tuple[str, ...]
    labels: np.ndarray

    def pixels(self, rows: Sequence[int] | np.ndarray, parameters: Sequence[Parameters] | None = None) -> Tensor:
        """Pixels of some images.

        Args:
            rows: row numbers of the images, b of them.
            parameters: augmentation of each image; without it, the images are not augmented.

        Returns:
            float32 [b, 1, size, size] in [0, 1].
        """
        pixels = self.cache.batch([self.images[row] for row in rows]).astype(np.float32) / 255
        if parameters is not None:
            pixels = np.stack([apply(image, augmented) for image, augmented in zip(pixels, parameters, strict=True)])
        return torch.from_numpy(pixels)[:, None]


class PixelInputs:
    """Feeds pixels through the whole network."""

    def __init__(self, model: Classifier, data: LabelledImages, device: Device) -> None:
        self.model, self.data, self.device = model, data, device

    def logits(self, rows: np.ndarray, parameters: Sequence[Parameters]) -> Tensor:
        """Logits [b] of augmented images, given by row number."""
        return self.model(self.device.put(self.data.pixels(rows, parameters)))


class BankInputs:
    """Feeds the head with feature maps that were computed once; exact, since the backbone is frozen.

    This needs an augmentation with few variants, such as none or a flip, so that all can be computed.
    """

    def __init__(self, model: Classifier, features: dict[Parameters, Tensor], device: Device) -> None:
        self.model, self.features, self.device = model, features, device

    def logits(self, rows: np.ndarray, parameters: Sequence[Parameters]) -> Tensor:
        """Logits [b] of augmented images, given by row number."""
        maps = [self.features[variant][row] for row, variant in zip(rows, parameters, strict=True)]
        return self.model.logits(self.device.put(torch.stack(maps)))


Inputs = PixelInputs | BankInputs


def choose_inputs(
    model: Classifier,
    data: LabelledImages,
    augmentation: Augmentation,
    draws: int,
    device: Device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Inputs:
    """Chooses how images reach the network: as feature maps if that is exact, fits in memory and saves time.

    Args:
        model: the network.
        data: the training images.
        augmentation: augmentation of the training images.
        draws: number of images that the whole training feeds; feature maps must need fewer passes than that.
        device: device of the network.
        report: function that gets the numbers of finished and of all feature maps.
    """
    variants = augmentation.variants
    if not model.backbone_is_frozen or variants is None or draws <= len(variants) * len(data.images):
        return PixelInputs(model, data, device)
    if not bank_fits(model, data, len(variants), device):
        return PixelInputs(model, data, device)
    total = len(variants) * len(data.images)
    bank = {}
    for number, variant in enumerate(variants):
        finished = number * len(data.images)
        bank[variant] = feature_maps(
            model,
            data,
            range(len(data.images)),
            variant,
            device,
            lambda done, finished=finished: report(finished + done, total),
        )
    return BankInputs(model, bank, device)


def bank_fits(model: Classifier, data: LabelledImages, variants: int, device: Device) -> bool:
    """Whether the feature maps of all images, `variants` of each, take at most `BANK_LIMIT` bytes."""
    if not data.images:
        return True
    one = feature_maps(model, data, [0], Parameters(), device)
    return one.numel() * one.element_size() * variants * len(data.images) <= BANK_LIMIT


def feature_maps(
    model: Classifier,
    data: LabelledImages,
    rows: Sequence[int],
    parameters: Parameters,
    device: Device,
    tell: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Feature maps float32 [n, c, h, w] on the CPU, always in the same batches so that they come out the same."""
    training = model.training
    model.eval()
    maps = predict_batches(
        model.features,
        lambda some: data.pixels(rows[some.start : some.stop], [parameters] * len(some)),
        len(rows), device, update=tell,
    )  # fmt: skip
    model.train(training)
    return maps


class FixedImages:
    """Images that one network predicts again and again, without augmentation.

    They pass through a frozen backbone only once, if their feature maps fit in memory.

    Attributes:
        data: the images, in the order of the logits.
    """

    def __init__(self, model: Classifier, data: LabelledImages, device: Device) -> None:
        self.model, self.data, self.device = model, data, device
        rows = range(len(data.images))
        banked = model.backbone_is_frozen and bank_fits(model, data, 1, device)
        self._features = feature_maps(model, data, rows, Parameters(), device) if banked and data.images else None

    def logits(self) -> np.ndarray:
        """Logits float32 [n] from the model in evaluation mode; its mode is restored."""
        features, training = self._features, self.model.training
        self.model.eval()
        if features is None:
            logits = predict_batches(self.model, self.data.pixels, len(self.data.images), self.device)
        else:
            logits = predict_batches(
                self.model.logits, lambda rows: features[rows.start : rows.stop], len(features), self.device
            )
        self.model.train(training)
        return logits.numpy()


def prediction_table(
    model: Classifier, data: LabelledImages, device: Device, name: str, seed: int, fold: int, patients: Sequence[str]
) -> pd.DataFrame:
    """Predictions of one trained network, one row per image.

    Args:
        model: trained network, on the device.
        data: images to predict, without augmentation.
        device: device of the network.
        name: name of the model.
        seed: seed of its training.
        fold: fold that it was not trained on.
        patients: patient of each image, [n].

    Returns:
        The columns model, seed, fold, image, patient, label (a float where one is unknown), probability, logit.
    """
    logits = FixedImages(model, data, device).logits().astype(np.float64)
    unknown = np.isnan(data.labels).any()
    return pd.DataFrame(
        {
            "model": name,
            "seed": seed,
            "fold": fold,
            "image": data.images,
            "patient": list(patients),
            "label": data.labels.astype(float if unknown else int),
            "probability": probabilities(logits),
            "logit": logits,
        }
    )
