"""Inputs of the training loop: pixels, or, for a frozen backbone, features that are computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrlens.data.augment import Augmentation, Parameters, apply
from cxrlens.data.finding_sets import Pixels
from cxrlens.models.classifier import Classifier
from cxrlens.models.heads import HeadInput, head_input
from cxrlens.train.device import Device
from cxrlens.train.feature_bank import backbone_key, check_room, item_key, stored_features, stored_shape
from cxrlens.train.order import Views
from cxrlens.train.predict import BATCH, predict_batches, probabilities

BANK_LIMIT = 4 << 30  # bytes of the feature maps of a training's images; larger ones are computed at every step


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
    """Feeds the head with features that were computed once, which the backbone's being frozen makes exact.

    This needs an augmentation with few variants, such as none or a flip, so that all can be computed, or a few drawn
    views of each image.
    """

    def __init__(
        self,
        model: Classifier,
        features: Sequence[np.ndarray],
        variants: Callable[[int], Sequence[Parameters]],
        needed: HeadInput,
        device: Device,
    ) -> None:
        """Takes the features.

        Args:
            model: the network.
            features: features of each variant of each image, first of the first variant of all images.
            variants: function from a row number to the variants of that image.
            needed: what the features are, and how the head takes them.
            device: device of the network.
        """
        self.model, self.features, self.variants, self.needed, self.device = model, features, variants, needed, device
        self._images = len(features) // max(1, len(variants(0)))

    def logits(self, rows: np.ndarray, parameters: Sequence[Parameters]) -> Tensor:
        """Logits [b] of augmented images, given by row number."""
        numbers = [self.variants(row).index(variant) for row, variant in zip(rows.tolist(), parameters, strict=True)]
        some = [self.features[number * self._images + row] for number, row in zip(numbers, rows.tolist(), strict=True)]
        return self.needed.output(self.device.put(torch.from_numpy(np.stack(some)))).squeeze(1)


Inputs = PixelInputs | BankInputs


def drawn_views(model: Classifier, data: LabelledImages, augmentation: Augmentation, count: int | None) -> Views | None:
    """The drawn views of a training; None where each step draws its augmentation anew, or all variants are few.

    Args:
        model: the network. Only a frozen backbone has drawn views.
        data: the training images.
        augmentation: augmentation of the training images.
        count: number of views of an image that were asked for; None for none.
    """
    if count is None or not model.backbone_is_frozen or augmentation.variants is not None:
        return None
    return Views(data.images, augmentation, count)


def choose_inputs(
    model: Classifier,
    data: LabelledImages,
    augmentation: Augmentation,
    draws: int,
    device: Device,
    report: Callable[[int, int], None] = lambda done, total: None,
    views: Views | None = None,
) -> Inputs:
    """Chooses how images reach the network: as features if that is exact, not too large and saves time.

    Args:
        model: the network.
        data: the training images.
        augmentation: augmentation of the training images.
        draws: number of images that the whole training feeds; feature maps must need fewer passes than that.
        device: device of the network.
        report: function that gets the numbers of finished and of all features that are not on disk yet.
        views: drawn views of the training images; they always reach the network as features.

    Raises:
        UserError: the features of the views take more disk space than the cache may have.
    """
    images = len(data.images)
    if views is not None:
        needed = head_input(model.head)
        check_room(model.name or "this training", feature_bytes(model, device, needed) * views.count * images)
        asked = [(row, views.of(row)[number]) for number in range(views.count) for row in range(images)]
        return BankInputs(model, banked(model, data, asked, device, needed, report), views.of, needed, device)
    variants = augmentation.variants
    if not model.backbone_is_frozen or variants is None or draws <= len(variants) * images:
        return PixelInputs(model, data, device)
    if not bank_fits(model, data, len(variants), device):
        return PixelInputs(model, data, device)
    asked = [(row, variant) for variant in variants for row in range(images)]
    whole = whole_map(model)
    return BankInputs(
        model, banked(model, data, asked, device, whole, report, images), lambda _: variants, whole, device
    )


def whole_map(model: Classifier) -> HeadInput:
    """The whole feature map as the input of a head: the bits that the network itself computes."""
    return HeadInput("map", lambda maps: maps, model.head)


def feature_bytes(model: Classifier, device: Device, needed: HeadInput) -> int:
    """Bytes of the features of one view of one image."""
    shape = stored_shape(backbone_key(model, needed.form, device))
    if shape is None:
        blank = torch.zeros(1, 1, model.size, model.size)
        shape = tuple(_features(model, lambda rows: blank, 1, device, needed).shape[1:])
    return 4 * int(np.prod(shape))


def bank_fits(model: Classifier, data: LabelledImages, variants: int, device: Device) -> bool:
    """Whether the feature maps of all images, `variants` of each, take at most `BANK_LIMIT` bytes."""
    if not data.images:
        return True
    return feature_bytes(model, device, whole_map(model)) * variants * len(data.images) <= BANK_LIMIT


def banked(
    model: Classifier,
    data: LabelledImages,
    asked: Sequence[tuple[int, Parameters]],
    device: Device,
    needed: HeadInput,
    report: Callable[[int, int], None] = lambda done, total: None,
    series: int | None = None,
) -> list[np.ndarray]:
    """Features of augmented images, from the bank on disk, or computed and written there.

    An image has the same features whichever training computes them: always `BATCH` images pass the backbone together,
    since the number of images, unlike their choice, changes the rounding.

    Args:
        model: classifier whose backbone is frozen; its mode is left unchanged.
        data: the images.
        asked: row number and augmentation of each view.
        device: device of the network.
        needed: what is stored of a feature map.
        report: function that gets the numbers of finished and of all features that are not on disk yet.
        series: number of views that form a series of batches; the last batch of a series holds what is left, as in
            `predict_batches`. Without it, all batches are full.

    Returns:
        The features of each view: arrays of one shape, read-only.
    """
    rest = series % BATCH if series else 0
    sizes = [rest if series and number % series >= series - rest else BATCH for number in range(len(asked))]
    by_image: dict[int, list[int]] = {}
    for number, (row, _) in enumerate(asked):
        by_image.setdefault(row, []).append(number)
    items = [""] * len(asked)
    for row, numbers in by_image.items():
        (pixels,) = data.cache.batch([data.images[row]])
        for number in numbers:
            items[number] = item_key(pixels, asked[number][1], sizes[number])

    def compute(missing: list[int]) -> Iterator[tuple[list[int], np.ndarray]]:
        done = 0
        for size in sorted({sizes[number] for number in missing}, reverse=True):
            of_size = [number for number in missing if sizes[number] == size]
            for start in range(0, len(of_size), size):
                some = of_size[start : start + size]
                batch = [asked[number] for number in some + some[-1:] * (size - len(some))]
                rows, parameters = [row for row, _ in batch], [augmented for _, augmented in batch]
                pixels = data.pixels(rows, parameters)
                features = _features(model, lambda rows, pixels=pixels: pixels, size, device, needed)
                yield some, features[: len(some)].numpy()
                done += len(some)
                report(done, len(missing))

    return stored_features(backbone_key(model, needed.form, device), items, compute, BANK_LIMIT)


def _features(
    model: Classifier, load: Callable[[range], Tensor], count: int, device: Device, needed: HeadInput
) -> Tensor:
    """What the head needs of `count` images that pass the backbone together, on the CPU."""
    training = model.training
    model.eval()
    features = predict_batches(
        lambda images: needed.of(model.features(images).float()), load, count, device, batch=count
    )
    model.train(training)
    return features


class FixedImages:
    """Images that one network predicts again and again, without augmentation.

    They pass through a frozen backbone only once, if their feature maps are not too large: their features are on disk.

    Attributes:
        data: the images, in the order of the logits.
    """

    def __init__(self, model: Classifier, data: LabelledImages, device: Device) -> None:
        self.model, self.data, self.device = model, data, device
        kept = model.backbone_is_frozen and bank_fits(model, data, 1, device)
        asked = [(row, Parameters()) for row in range(len(data.images))]
        self._features = (
            banked(model, data, asked, device, whole_map(model), series=len(asked)) if kept and asked else None
        )

    def logits(self) -> np.ndarray:
        """Logits float32 [n] from the model in evaluation mode; its mode is restored."""
        features, training = self._features, self.model.training
        self.model.eval()
        if features is None:
            logits = predict_batches(self.model, self.data.pixels, len(self.data.images), self.device)
        else:
            logits = predict_batches(
                self.model.logits,
                lambda rows: torch.from_numpy(np.stack(features[rows.start : rows.stop])),
                len(features), self.device,
            )  # fmt: skip
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
