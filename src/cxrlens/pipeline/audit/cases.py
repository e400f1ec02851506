"""The input of the audit's probes: the first network of each model with its images, labels, lungs and scores."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxrlens.audit.base import IntervalOptions
from cxrlens.audit.case import ImageSet, ModelCase
from cxrlens.audit.lungs.masks import fallback, from_folder, from_segmenter, from_table, squared
from cxrlens.audit.lungs.regions import Lungs, choose
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.models.classifier import build_classifier
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.fit import TrainingTask
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import Progress
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.predict import as_tensor, predict_logits

Again = Callable[[Tensor, np.ndarray, Tensor], np.ndarray]


class ArrayImages:
    """Pixels in memory, whose names are their positions."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = (pixels[:, 0].numpy() * 255).round().astype(np.uint8)

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """uint8 [b, size, size]."""
        return self.pixels[[int(image) for image in images]]


def trainer(
    task: TrainingTask, prepared: Prepared, device: Device, study_dir: Path | None, progress: Progress
) -> Again:
    """A function that trains this row again: training pixels, their labels, validation pixels → validation logits."""

    def retrain(train_pixels: Tensor, labels: np.ndarray, validation_pixels: Tensor) -> np.ndarray:
        model = build_classifier(task.row, task.size, task.seed, study_dir)
        images = LabelledImages(
            ArrayImages(train_pixels), tuple(map(str, range(len(train_pixels)))), labels.astype(np.float32)
        )
        fit = Fit(
            model, images, None, task.row, prepared.study.augment, task.seed, task.split.fold, device,
            title=f"{task.title}, anew", views=task.row.drawn_views(prepared.study.augment),
        )  # fmt: skip
        train(fit, progress)
        return predict_logits(model, as_tensor(ArrayImages(validation_pixels).pixels), device)

    return retrain


def read_severity(path: Path, images: Sequence[str]) -> dict[str, np.ndarray]:
    """Experts' scores of single images: every column of numbers, as float [n] in the order of `images`, NaN if unknown.

    Args:
        path: CSV with a column `filename` and one column per score; lines that start with # are skipped.
        images: names of the images, [n].

    Raises:
        UserError: the file is absent or not a table, has no column `filename`, or names an image twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"[audit] severity: cannot read {path} ({error})") from error
    try:
        text = "\n".join(line for line in lines if not line.startswith("#"))
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)  # an image may be called "NA"
    except ValueError as error:  # pandas: no line at all, or one with too many cells
        raise UserError(f"[audit] severity: {path} is not a table ({error}); it needs a column filename") from error
    if "filename" not in table:
        raise UserError(
            f"[audit] severity: {path} needs a column filename; it has {', '.join(map(str, table.columns))}"
        )
    if table["filename"].duplicated().any():
        repeated = table["filename"][table["filename"].duplicated()].iloc[0]
        raise UserError(f"[audit] severity: {path} scores '{repeated}' twice; keep one row per image")
    scores = table.set_index("filename").reindex(list(images)).apply(pd.to_numeric, errors="coerce")
    return {
        str(name).replace("_", " "): column.to_numpy(float) for name, column in scores.items() if column.notna().any()
    }


class LungStore:
    """Lung masks of a run's images at any size, from the origins that the study names; a source's masks are read once.

    Raises:
        UserError: the study names a folder, table or segmenter that is absent or has another format.
    """

    def __init__(self, prepared: Prepared, data_dir: Path | None) -> None:
        self.prepared, self.data_dir, self.options = prepared, data_dir, prepared.study.audit
        self._own: dict[str, np.ndarray | None] = {}

    def at(self, size: int, validation: Sequence[str], training: Sequence[str], pixels: np.ndarray) -> list[Lungs]:
        """The lungs of validation and of training images, all from the origin that suits the validation images best.

        Args:
            size: side of the squares in pixels.
            validation: names of the validation images, [n].
            training: names of the training images, [m].
            pixels: pixels of both, float32 [n + m, size, size] in [0, 1].
        """
        images = [*validation, *training]
        absent: list[str] = []
        available = [lungs for lungs in self._origins(images, size, pixels, absent) if lungs is not None]
        first, rest = slice(None, len(validation)), slice(len(validation), None)
        labels = self.prepared.labels.loc[list(validation)].to_numpy() == 1
        of_validation = [_part(lungs, first) for lungs in available]
        chosen = choose(of_validation, labels)
        chosen = replace(chosen, refused=(*absent, *chosen.refused))
        if chosen.origin == "none":
            return [chosen, Lungs(np.zeros((len(training), 1, 1), bool), np.zeros(len(training), bool), "none")]
        # Compared by the masks: those of a folder and of a source have the same origin, "masks".
        whole = next(lungs for lungs, part in zip(available, of_validation, strict=True) if part.masks is chosen.masks)
        return [chosen, _part(whole, rest)]

    def _origins(self, images: list[str], size: int, pixels: np.ndarray, absent: list[str]) -> list[Lungs | None]:
        options = self.options
        masks, boxes = (self._named_path(key, getattr(options, key), absent) for key in ("masks", "boxes"))
        return [
            from_folder(masks, images, size) if masks else None,
            self._of_source(images, size),
            from_table(boxes, images, size) if boxes else None,
            from_segmenter(options.segmenter, pixels) if options.segmenter else None,
            fallback(len(images), size),
        ]

    def _of_source(self, images: list[str], size: int) -> Lungs | None:
        paths = self.prepared.cohort.table.set_index("image")["path"]
        for image in images:
            if image not in self._own:
                self._own[image] = self.prepared.study.data.lungs(paths[image])
        own = [self._own[image] for image in images]
        if all(mask is None for mask in own):
            return None
        masks = np.stack([np.zeros((size, size), bool) if mask is None else squared(mask, size) for mask in own])
        return Lungs(masks, np.array([mask.any() for mask in masks]), "masks", "the lungs that the source itself knows")

    def _named_path(self, key: str, name: str | None, absent: list[str]) -> Path | None:
        """The path of a key of `[audit]`; None, and a sentence in `absent`, if it does not exist."""
        if name is None:
            return None
        if self.data_dir is None:
            raise UserError(f"[audit] {key}: '{name}' starts from the folder of the images, and this source has none")
        if not (self.data_dir / name).exists():  # a public copy of the images may come without them
            absent.append(f"{key}: there is no {name} in the folder of the images")
            return None
        return self.data_dir / name


def _part(lungs: Lungs, rows: slice) -> Lungs:
    return replace(lungs, masks=lungs.masks[rows], known=lungs.known[rows])


MOST_TRAINING = 1000  # images of the training set: a linear head needs no more


@dataclass(frozen=True)
class Cases:
    """Builds the cases of networks one by one, so that one is in memory at a time.

    Attributes:
        lungs: lung masks of the run's images.
        data_dir: folder of the images, from which the paths of the study's `[audit]` start.
        groups: patient → the patient that it counts as.
        study_dir: folder that relative weight paths start from.
        retrain: whether the cases can train their row again, for probes that need it.
        progress: display of the work in progress.
    """

    lungs: LungStore
    data_dir: Path | None
    groups: Mapping[str, str]
    study_dir: Path | None
    retrain: bool
    progress: Progress

    @cached_property
    def files(self) -> dict[str, str]:
        """State of each file and folder that the study's `[audit]` names; results depend on it."""
        names = {key: getattr(self.lungs.options, key) for key in ("masks", "boxes", "severity")}
        return {key: _state(self.data_dir / name) for key, name in names.items() if name and self.data_dir is not None}

    def of(self, network: FigureNetwork) -> ModelCase:
        """The case of a network.

        Raises:
            UserError: the study's `[audit]` names a file that is absent or has another format.
        """
        prepared, task = network.prepared, network.task
        validation, training = list(task.split.validation), self._sample(task.split.train, network)
        table = prepared.cohort.table.set_index("image")
        pixels, training_pixels = network.pixels(validation), network.pixels(training)
        both = torch.cat([pixels, training_pixels])[:, 0].numpy()
        lungs, training_lungs = self.lungs.at(task.size, validation, training, both)
        evaluation = prepared.study.evaluation
        return ModelCase(
            name=network.name,
            model=network.network(),
            device=network.device,
            images=tuple(validation),
            pixels=pixels,
            labels=table["label"].loc[validation].to_numpy() == 1,
            patients=self._patients(table["patient"].loc[validation].tolist()),
            logits=_logits(network, validation),
            table=table.loc[validation].reset_index(),
            lungs=lungs,
            training=ImageSet(
                training_pixels,
                table["label"].loc[training].to_numpy() == 1,
                self._patients(table["patient"].loc[training].tolist()),
                training_lungs,
            ),
            intervals=IntervalOptions(evaluation.level, evaluation.draws, evaluation.seed),
            severity=self._severity(prepared.study.audit.severity, validation),
            progress=self.progress,
            retrain=trainer(task, prepared, network.device, self.study_dir, self.progress) if self.retrain else None,
        )

    def _patients(self, ids: Sequence[str]) -> np.ndarray:
        return np.array([self.groups.get(patient, patient) for patient in ids], dtype=str)

    def _severity(self, name: str | None, images: Sequence[str]) -> dict[str, np.ndarray]:
        if name is None:
            return {}
        if self.data_dir is None:
            raise UserError("[audit] severity starts from the folder of the images, and this source has none")
        if not (self.data_dir / name).exists():
            self.progress.say(f"no experts' scores: there is no {name} in the folder of the images")
            return {}
        return read_severity(self.data_dir / name, images)

    @staticmethod
    def _sample(images: Sequence[str], network: FigureNetwork) -> list[str]:
        if len(images) <= MOST_TRAINING:
            return list(images)
        rows = generator(network.task.seed).choice(len(images), MOST_TRAINING, replace=False)
        return [images[row] for row in sorted(rows)]


def _state(path: Path) -> str:
    """Hash of names, sizes and times of a folder's files, or of a file; no content is read."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _logits(network: FigureNetwork, images: Sequence[str]) -> np.ndarray:
    table, task = network.run.predictions, network.task
    rows = table["model"].eq(network.name) & table["seed"].eq(task.seed) & table["fold"].eq(task.split.fold)
    return table[rows].set_index("image")["logit"].loc[list(images)].to_numpy(float)
