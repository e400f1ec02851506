"""What a probe is given: a cohort before training, or one trained network with its validation images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from torch import Tensor

from cxrlens.audit.base import JUDGING, Estimate, IntervalOptions, auc_estimate, change
from cxrlens.audit.lungs.regions import Lungs
from cxrlens.data.duplicates import Duplicates
from cxrlens.data.split import Split
from cxrlens.evaluate.auc import without_auc
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.train.device import Device
from cxrlens.train.predict import mean_features, predict_batches, predict_logits


@dataclass(frozen=True)
class CohortCase:
    """A cohort before training.

    Attributes:
        table: the listed rows (see `cohort.Cohort.table`).
        facts: a row a readable image: `image`, `width`, `height`, `bytes`, `mode`, `format` (see `ImageCache.facts`).
        splits: the study's; empty where none can be drawn.
        groups: patient → the patient it counts as, where one stands under several ids.
        duplicates: images that are there twice.
        histogram: grey histogram of each readable image, float [n, bins], shares, in the order of `facts`.
        judging: of the intervals.
        progress: where work is shown.
    """

    table: pd.DataFrame
    facts: pd.DataFrame
    splits: tuple[Split, ...]
    groups: Mapping[str, str]
    duplicates: Duplicates
    histogram: np.ndarray
    judging: IntervalOptions = JUDGING
    progress: Progress = SILENT


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images that a network was trained on (a sample of them where they are many).

    Attributes:
        pixels: float32 [m, 1, size, size] in [0, 1].
        labels: bool [m].
        patients: of each image, merged ids as one, [m].
        lungs: where the lungs are, in these images.
    """

    pixels: Tensor
    labels: np.ndarray
    patients: np.ndarray
    lungs: Lungs


@dataclass(frozen=True, eq=False)
class ModelCase:
    """One trained network.

    Attributes:
        name: the model's.
        model: in evaluation mode, where it works.
        device: where that is.
        images: names of its validation images, [n].
        pixels: float32 [n, 1, size, size] in [0, 1].
        labels: bool [n].
        patients: of each image, merged ids as one, [n].
        logits: of the images as they are, [n].
        table: the cohort's rows of these images, in this order.
        lungs: where the lungs are, in these images.
        training: its training images.
        judging: of the intervals.
        severity: experts' scores by name, each [n], NaN where there is none.
        progress: where work is shown.
        again: trains this row anew: (training pixels, training labels, validation pixels) → validation logits. None
            where no training is asked for.
    """

    name: str
    model: Classifier
    device: Device
    images: tuple[str, ...]
    pixels: Tensor
    labels: np.ndarray
    patients: np.ndarray
    logits: np.ndarray
    table: pd.DataFrame
    lungs: Lungs
    training: ImageSet
    judging: IntervalOptions = JUDGING
    severity: Mapping[str, np.ndarray] = field(default_factory=dict)
    progress: Progress = SILENT
    again: Callable[[Tensor, np.ndarray, Tensor], np.ndarray] | None = None

    def predict(self, pixels: Tensor) -> np.ndarray:
        """Logits float64 [n] of images [n, 1, size, size] in [0, 1]."""
        return predict_logits(self.model, pixels, self.device)

    def features(self, pixels: Tensor) -> np.ndarray:
        """The backbone's map averaged over its places, float32 [n, c]."""
        features = predict_batches(
            lambda images: mean_features(self.model, images),
            lambda rows: pixels[rows.start : rows.stop],
            len(pixels), self.device,
        )  # fmt: skip
        return features.numpy()

    def without_auc(self, rows: np.ndarray) -> str:
        """Why these images (positions) give no AUC that says anything, else ""."""
        return without_auc(self.labels[rows])

    def auc(self, logits: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """AUC with its interval over patients, and p of 0.5.

        Args:
            logits: [m].
            rows: positions of these images, [m]; all images where none are given.

        Raises:
            UserError: fewer than 2 images of a class.
        """
        return auc_estimate(logits, self.labels, self.patients, self.judging, rows)

    def auc_change(self, before: np.ndarray, after: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """AUC before minus AUC after, on the same images; p of 0."""
        return change(self.auc(before, rows), self.auc(after, rows), self.judging.level)
