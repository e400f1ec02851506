"""The networks that the figures are of: of each model the first seed's, with the images of its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxrlens.explain.activation_maximization import Objective, reference_activations
from cxrlens.models.classifier import Classifier
from cxrlens.pipeline.finished import Run
from cxrlens.pipeline.fit import Job
from cxrlens.pipeline.prepare import Prepared
from cxrlens.pipeline.record import read_record
from cxrlens.progress import Progress
from cxrlens.study import folder_name
from cxrlens.train.device import Device


@dataclass(frozen=True)
class Shown:
    """One trained network of a run.

    Attributes:
        run: whose it is.
        job: which one.
        prepared: the run's images.
        device: where it works.
    """

    run: Run
    job: Job
    prepared: Prepared
    device: Device

    @property
    def name(self) -> str:
        """The model's."""
        return self.job.row.name

    @property
    def file(self) -> str:
        """Its arrays' file."""
        return f"{folder_name(self.name)}.npz"

    @property
    def identity(self) -> str:
        """What its weights were made from."""
        return read_record(self.job.unit(self.run.folder))["identity"]

    def network(self) -> Classifier:
        """Whole, in evaluation mode."""
        return self.device.place(self.run.model(self.name, seed=self.job.seed, fold=self.job.split.fold))

    def cohort_logits(self, progress: Progress) -> np.ndarray:
        """Its logit of every readable image of the cohort, [images]."""
        images = self.prepared.cohort.readable["image"].tolist()
        return reference_activations(self.network(), [Objective.logit()], self.pixels(images), progress=progress)[0]

    def pixels(self, images: Sequence[str]) -> Tensor:
        """float32 [n, 1, size, size] in [0, 1], as this network is given validation images."""
        cache, _ = self.prepared.pixels.at(self.job.size)
        return torch.from_numpy(cache.batch(list(images)).astype(np.float32) / 255)[:, None]


def first_networks(run: Run, done: Sequence[Job], prepared: Prepared, device: Device) -> list[Shown]:
    """Of each model the network of the first seed and fold, in the ladder's order."""
    first: dict[str, Job] = {}
    for job in done:
        first.setdefault(job.row.name, job)
    return [Shown(run, job, prepared, device) for job in first.values()]
