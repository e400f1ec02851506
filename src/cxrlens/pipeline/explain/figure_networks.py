"""The networks that the figures are of: of each model the first seed's, with the images of its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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
        run: whose it is.
        task: which one.
        prepared: the run's images.
        device: where it works.
    """

    run: FinishedRun
    task: TrainingTask
    prepared: Prepared
    device: Device

    @property
    def name(self) -> str:
        """The model's."""
        return self.task.row.name

    @property
    def file(self) -> str:
        """Its arrays' file."""
        return f"{folder_name(self.name)}.npz"

    @property
    def identity(self) -> str:
        """What its weights were made from."""
        return read_record(self.task.unit(self.run.folder))["identity"]

    def network(self) -> Classifier:
        """Whole, in evaluation mode."""
        return self.device.place(self.run.model(self.name, seed=self.task.seed, fold=self.task.split.fold))

    def cohort_logits(self, progress: Progress) -> np.ndarray:
        """Its logit of every readable image of the cohort, [images]."""
        images = self.prepared.cohort.readable["image"].tolist()
        return reference_activations(self.network(), [Objective.logit()], self.pixels(images), progress=progress)[0]

    def pixels(self, images: Sequence[str]) -> Tensor:
        """float32 [n, 1, size, size] in [0, 1], as this network is given validation images."""
        cache, _ = self.prepared.pixels.at(self.task.size)
        return torch.from_numpy(cache.batch(list(images)).astype(np.float32) / 255)[:, None]


def first_networks(
    run: FinishedRun, done: Sequence[TrainingTask], prepared: Prepared, device: Device
) -> list[FigureNetwork]:
    """Of each model the network of the first seed and fold, in the ladder's order."""
    first: dict[str, TrainingTask] = {}
    for task in done:
        first.setdefault(task.row.name, task)
    return [FigureNetwork(run, task, prepared, device) for task in first.values()]
