"""The networks that figures, gallery and audit explain: the first seed and fold of each model, with its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrlens.explain.activation_maximization import Objective, reference_activations
from cxrlens.models.classifier import Classifier
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared
from cxrlens.pipeline.record import read_record
from cxrlens.progress import Progress
from cxrlens.study import folder_name
from cxrlens.train.device import Device


@dataclass(frozen=True)
class FigureNetwork:
    """One trained network of a run.

    Attributes:
        run: the run that trained the network.
        task: the training task of the network: model, seed and fold.
        prepared: cohort, splits and cached images of the run.
        device: device on which the network runs.
    """

    run: FinishedRun
    task: TrainingTask
    prepared: Prepared
    device: Device

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.task.row.name

    @property
    def file(self) -> str:
        """The file name of the network's arrays."""
        return f"{folder_name(self.name)}.npz"

    @property
    def identity(self) -> str:
        """The digest of everything that the network was trained from."""
        return read_record(self.task.unit(self.run.folder))["identity"]

    def network(self) -> Classifier:
        """The network with its trained weights, on the device, in evaluation mode."""
        return self.device.place(self.run.model(self.name, seed=self.task.seed, fold=self.task.split.fold))

    def cohort_logits(self, progress: Progress) -> np.ndarray:
        """The network's logit of every readable image of the cohort, [images]."""
        images = self.prepared.cohort.readable["image"].tolist()
        logits = self._predicted().reindex(images)
        rest = logits.index[logits.isna()].tolist()
        if rest:
            objectives = [Objective.logit()]
            logits[rest] = reference_activations(self.network(), objectives, self.pixels(rest), progress=progress)[0]
        return logits.to_numpy(np.float32)

    def _predicted(self) -> pd.Series:
        """Logits by image that the run has already predicted, of images as `pixels` gives them."""
        unit = self.task.unit(self.run.folder)
        names = ("predictions.csv", "train_predictions.csv")
        tables = [self.run.folder.read_table(unit.folder / name) for name in names]
        return pd.concat(tables).drop_duplicates("image").set_index("image")["logit"]

    def pixels(self, images: Sequence[str]) -> Tensor:
        """Images as this network gets them for validation, float32 [n, 1, size, size] in [0, 1]."""
        cache, _ = self.prepared.pixels.at(self.task.size)
        return torch.from_numpy(cache.batch(list(images)).astype(np.float32) / 255)[:, None]


def first_networks(
    run: FinishedRun, tasks: Sequence[TrainingTask], prepared: Prepared, device: Device
) -> list[FigureNetwork]:
    """The network of the first seed and fold of each model, in the order of the study.

    Args:
        run: the run that trained the networks.
        tasks: the finished training tasks.
        prepared: cohort, splits and cached images of the run.
        device: device on which the networks run.
    """
    first: dict[str, TrainingTask] = {}
    for task in tasks:
        first.setdefault(task.row.name, task)
    return [FigureNetwork(run, task, prepared, device) for task in first.values()]
