"""The input of a probe: a cohort before training, or one trained network with its validation images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from torch import Tensor

from cxrlens.audit.base import DEFAULT_INTERVALS, Estimate, IntervalOptions, auc_estimate, change
from cxrlens.audit.lungs.regions import Lungs
from cxrlens.data.duplicates import Duplicates
from cxrlens.data.split import Split
from cxrlens.evaluate.auc import no_auc_reason
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.train.device import Device
from cxrlens.train.predict import mean_features, predict_batches, predict_logits


@dataclass(frozen=True)
class CohortCase:
    """A cohort before training.

    Attributes:
        table: listed images, see `cohort.Cohort.table`.
        facts: facts of the readable images' files, one row each: `image`, `width`, `height`, `bytes`, `mode`, `format`
            (see `ImageCache.facts`).
        splits: splits of the study; empty where none can be drawn.
        groups: patient → patient that it counts as, where a patient has several ids.
        duplicates: pairs of images that show one exposure.
        histogram: grey histogram of each readable image in the order of `facts`, shares, float [n, bins].
        intervals: how intervals are made.
        progress: display of the progress.
    """

    table: pd.DataFrame
    facts: pd.DataFrame
    splits: tuple[Split, ...]
    groups: Mapping[str, str]
    duplicates: Duplicates
    histogram: np.ndarray
    intervals: IntervalOptions = DEFAULT_INTERVALS
    progress: Progress = SILENT


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images that a network was trained on, or a sample of them where they are many.

    Attributes:
        pixels: pixels of the images, float32 [m, 1, size, size] in [0, 1].
        labels: whether each image is positive, bool [m].
        patients: patient of each image, merged ids as one, [m].
        lungs: lung regions in these images.
    """

    pixels: Tensor
    labels: np.ndarray
    patients: np.ndarray
    lungs: Lungs


@dataclass(frozen=True, eq=False)
class ModelCase:
    """One trained network.

    Attributes:
        name: name of the model.
        model: the network, in evaluation mode, on `device`.
        device: device of the network.
        images: names of its validation images, [n].
        pixels: pixels of the validation images, float32 [n, 1, size, size] in [0, 1].
        labels: whether each validation image is positive, bool [n].
        patients: patient of each validation image, merged ids as one, [n].
        logits: logits of the unaltered validation images, [n].
        table: rows of the cohort's table of these images, in this order.
        lungs: lung regions in the validation images.
        training: training images.
        intervals: how intervals are made.
        severity: name of an experts' score → its values, [n], NaN where an image has none.
        progress: display of the progress.
        retrain: retrains the model: (training pixels, training labels, validation pixels) → validation logits. None
            where retraining was not requested.
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
    intervals: IntervalOptions = DEFAULT_INTERVALS
    severity: Mapping[str, np.ndarray] = field(default_factory=dict)
    progress: Progress = SILENT
    retrain: Callable[[Tensor, np.ndarray, Tensor], np.ndarray] | None = None

    def predict(self, pixels: Tensor) -> np.ndarray:
        """Logits float64 [n] of images [n, 1, size, size] in [0, 1]."""
        return predict_logits(self.model, pixels, self.device)

    @cached_property
    def own_features(self) -> np.ndarray:
        """`features` of the unaltered validation images, computed once for all probes."""
        return self.features(self.pixels)

    @cached_property
    def training_features(self) -> np.ndarray:
        """`features` of the unaltered training images, computed once for all probes."""
        return self.features(self.training.pixels)

    def features(self, pixels: Tensor) -> np.ndarray:
        """The backbone's map averaged over its places, float32 [n, c]."""
        features = predict_batches(
            lambda images: mean_features(self.model, images),
            lambda rows: pixels[rows.start : rows.stop],
            len(pixels), self.device,
        )  # fmt: skip
        return features.numpy()

    def no_auc_reason(self, rows: np.ndarray) -> str:
        """The reason why the images at these positions give no meaningful AUC, "" where they give one."""
        return no_auc_reason(self.labels[rows])

    def auc(self, logits: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """AUC with its interval over patients, and the p-value of the null that it is 0.5.

        Args:
            logits: logits of the scored images, [m].
            rows: positions of the scored images, int [m]; all images by default.

        Raises:
            UserError: fewer than 2 images of a class.
        """
        return auc_estimate(logits, self.labels, self.patients, self.intervals, rows)

    def auc_change(self, before: np.ndarray, after: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """AUC before minus AUC after, on the same images, and the p-value of no change."""
        return change(self.auc(before, rows), self.auc(after, rows), self.intervals.level)
