"""What the loop feeds a network: pixels, or (where the backbone is frozen) feature maps computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrlens.data.augment import Augmentation, Parameters, apply
from cxrlens.data.finding_sets import Pixels
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device
from cxrlens.train.predict import predict_batches

BANK_LIMIT = 4 << 30  # bytes of feature maps kept in memory; beyond it they are computed at every step


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels, read from the cache.

    Attributes:
        cache: where their pixels are.
        images: their names.
        labels: float32 [n], 1 or 0.
    """

    cache: Pixels
    images: tuple[str, ...]
    labels: np.ndarray

    def pixels(self, rows: Sequence[int] | np.ndarray, parameters: Sequence[Parameters] | None = None) -> Tensor:
        """float32 [b, 1, size, size] in [0, 1], augmented where parameters are given."""
        stored = self.cache.batch([self.images[row] for row in rows]).astype(np.float32) / 255
        if parameters is not None:
            stored = np.stack([apply(image, each) for image, each in zip(stored, parameters, strict=True)])
        return torch.from_numpy(stored)[:, None]


class PixelInputs:
    """Feeds pixels through the whole network."""

    def __init__(self, model: Classifier, data: LabelledImages, device: Device) -> None:
        self.model, self.data, self.device = model, data, device

    def logits(self, rows: np.ndarray, parameters: Sequence[Parameters]) -> Tensor:
        """Logits [b] of these images, augmented so."""
        return self.model(self.device.put(self.data.pixels(rows, parameters)))


class BankInputs:
    """Feeds the head feature maps that were computed once: exact, since a frozen backbone gives the same every time.

    Needs few enough augmentations to compute them all (none, or a flip).
    """

    def __init__(self, model: Classifier, features: dict[Parameters, Tensor], device: Device) -> None:
        self.model, self.features, self.device = model, features, device

    def logits(self, rows: np.ndarray, parameters: Sequence[Parameters]) -> Tensor:
        """Logits [b] of these images, augmented so."""
        maps = [self.features[each][row] for row, each in zip(rows, parameters, strict=True)]
        return self.model.logits(self.device.put(torch.stack(maps)))


Inputs = PixelInputs | BankInputs


def choose_inputs(
    model: Classifier,
    data: LabelledImages,
    augmentation: Augmentation,
    draws: int,
    device: Device,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Inputs:
    """A bank of features where that is exact, fits in memory and costs less than the `draws` images of training."""
    variants = augmentation.variants
    if not model.backbone_is_frozen or variants is None or draws <= len(variants) * len(data.images):
        return PixelInputs(model, data, device)
    if not bank_fits(model, data, len(variants), device):
        return PixelInputs(model, data, device)
    total = len(variants) * len(data.images)
    bank = {}
    for number, variant in enumerate(variants):
        before = number * len(data.images)
        bank[variant] = feature_maps(
            model,
            data,
            range(len(data.images)),
            variant,
            device,
            lambda done, before=before: tell(before + done, total),
        )
    return BankInputs(model, bank, device)


def bank_fits(model: Classifier, data: LabelledImages, variants: int, device: Device) -> bool:
    """Whether the feature maps of these images, so many variants of each, stay below `BANK_LIMIT`."""
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
