"""What the probes are given of a run: of each model the first network, with its images, labels and lungs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from cxrlens.audit.case import ModelCase, Side
from cxrlens.audit.estimate import Judging
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.pipeline.audit.again import trainer
from cxrlens.pipeline.audit.lungs import LungStore
from cxrlens.pipeline.audit.severity import read_severity
from cxrlens.pipeline.explain.shown import Shown
from cxrlens.progress import Progress

MOST_TRAINING = 1000  # images of the training side: a linear head needs no more


@dataclass(frozen=True)
class Cases:
    """Builds the case of one network after another, so that one is in memory at a time.

    Attributes:
        lungs: of the run's images.
        root: the folder of the images, from which the study's paths start.
        groups: patient → the patient it counts as.
        near: the folder that relative weight paths start from.
        retrain: whether probes that train are given the means.
        progress: where work is shown.
    """

    lungs: LungStore
    root: Path | None
    groups: Mapping[str, str]
    near: Path | None
    retrain: bool
    progress: Progress

    @cached_property
    def files(self) -> dict[str, str]:
        """State of each file and folder that the study's `[audit]` names: what was found with others is asked again."""
        named = {what: getattr(self.lungs.options, what) for what in ("masks", "boxes", "severity")}
        return {what: _state(self.root / name) for what, name in named.items() if name and self.root is not None}

    def of(self, shown: Shown) -> ModelCase:
        """The case of a network.

        Raises:
            UserError: the study's `[audit]` names what is not there.
        """
        prepared, job = shown.prepared, shown.job
        validation, training = list(job.split.validation), self._sample(job.split.train, shown)
        table = prepared.cohort.table.set_index("image")
        pixels, trained = shown.pixels(validation), shown.pixels(training)
        both = torch.cat([pixels, trained])[:, 0].numpy()
        here, there = self.lungs.at(job.size, validation, training, both)
        evaluation = prepared.study.evaluation
        return ModelCase(
            name=shown.name,
            model=shown.network(),
            device=shown.device,
            images=tuple(validation),
            pixels=pixels,
            labels=table["label"].loc[validation].to_numpy() == 1,
            patients=self._patients(table["patient"].loc[validation].tolist()),
            logits=_logits(shown, validation),
            table=table.loc[validation].reset_index(),
            lungs=here,
            training=Side(
                trained,
                table["label"].loc[training].to_numpy() == 1,
                self._patients(table["patient"].loc[training].tolist()),
                there,
            ),
            judging=Judging(evaluation.level, evaluation.draws, evaluation.seed),
            severity=self._severity(prepared.study.audit.severity, validation),
            progress=self.progress,
            again=trainer(job, prepared, shown.device, self.near, self.progress) if self.retrain else None,
        )

    def _patients(self, named: Sequence[str]) -> np.ndarray:
        return np.array([self.groups.get(name, name) for name in named], dtype=str)

    def _severity(self, name: str | None, images: Sequence[str]) -> dict[str, np.ndarray]:
        if name is None:
            return {}
        if self.root is None:
            raise UserError("[audit] severity starts from the folder of the images, and this source has none")
        if not (self.root / name).exists():
            self.progress.say(f"no experts' scores: there is no {name} in the folder of the images")
            return {}
        return read_severity(self.root / name, images)

    @staticmethod
    def _sample(images: Sequence[str], shown: Shown) -> list[str]:
        if len(images) <= MOST_TRAINING:
            return list(images)
        kept = generator(shown.job.seed).choice(len(images), MOST_TRAINING, replace=False)
        return [images[place] for place in sorted(kept)]


def _state(path: Path) -> str:
    """Names, sizes and times of a folder's files, or of a file, as one hash; no content is read."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _logits(shown: Shown, images: Sequence[str]) -> np.ndarray:
    table = shown.run.predictions
    mine = table["model"].eq(shown.name) & table["seed"].eq(shown.job.seed) & table["fold"].eq(shown.job.split.fold)
    return table[mine].set_index("image")["logit"].loc[list(images)].to_numpy(float)
