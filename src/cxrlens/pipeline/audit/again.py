"""A row of the study trained anew on other pixels or labels, in memory: nothing of it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cxrlens.models.classifier import build_classifier
from cxrlens.pipeline.fit import Job
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.predict import FixedImages

Again = Callable[[Tensor, np.ndarray, Tensor], np.ndarray]


class Given:
    """Pixels in memory, named by their position."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = (pixels[:, 0].numpy() * 255).round().astype(np.uint8)

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """uint8 [b, size, size]."""
        return self.pixels[[int(image) for image in images]]


def trainer(job: Job, prepared: Prepared, device: Device, near: Path | None, progress: Progress) -> Again:
    """What trains this row anew: (training pixels, their labels, validation pixels) → validation logits."""

    def again(trained: Tensor, labels: np.ndarray, judged: Tensor) -> np.ndarray:
        model = build_classifier(job.row, job.size, job.seed, near)
        inside, outside = (
            LabelledImages(Given(pixels), tuple(map(str, range(len(pixels)))), known.astype(np.float32))
            for pixels, known in ((trained, labels), (judged, np.arange(len(judged)) % 2))  # the latter is not used
        )
        fit = Fit(
            model, inside, outside, job.row, prepared.study.augment, job.seed, job.split.fold, device,
            title=f"{job.title}, anew",
        )  # fmt: skip
        train(fit, progress)
        with torch.inference_mode():
            return FixedImages(model, outside, device).logits().astype(np.float64)

    return again
