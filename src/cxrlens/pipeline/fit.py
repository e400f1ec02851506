"""Second stage: trains every network of a study and writes it; a finished network is not trained again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrlens import __version__
from cxrlens.data.cache import ImageCache
from cxrlens.data.split import Split
from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.models.classifier import build_classifier
from cxrlens.models.weights.find import find_weights
from cxrlens.pipeline.prepare import Prepared, TrainableRow
from cxrlens.pipeline.record import network_record, read_record
from cxrlens.progress import Progress
from cxrlens.run_folder import NetworkFolder, RunFolder
from cxrlens.study import ModelRow, folder_name
from cxrlens.train.checkpoint import save_tensors
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages, prediction_table
from cxrlens.train.loop import Fit, train


@dataclass(frozen=True)
class TrainingTask:
    """One network to train: a row of the study, the side of its images in pixels, a seed and a split."""

    row: ModelRow
    size: int
    seed: int
    split: Split

    @property
    def title(self) -> str:
        """Name of the network in progress bars and messages."""
        fold = f", fold {self.split.fold}" if self.split.kind == "patient-kfold" else ""
        return f"{self.row.name} (seed {self.seed}{fold})"

    def unit(self, run: RunFolder) -> NetworkFolder:
        """Folder of the network in the run."""
        return run.unit(folder_name(self.row.name), self.seed, self.split.fold)


def training_tasks(prepared: Prepared, rows: Sequence[TrainableRow]) -> list[TrainingTask]:
    """Every network of these rows, model by model."""
    seeds, splits = prepared.study.seeds, prepared.splits
    return [TrainingTask(row.row, row.size, seed, split) for row in rows for seed in seeds for split in splits]


def train_network(
    task: TrainingTask, prepared: Prepared, run: RunFolder, device: Device, study_dir: Path | None, progress: Progress
) -> float:
    """Trains one network and writes its folder.

    Returns:
        The seconds of the training; 0 if the network was already there.

    Raises:
        UserError: see `train`, or the folder holds this network trained on other data or by another study.
        KeyboardInterrupt: Ctrl-C; the checkpoint holds the training so far.
    """
    unit = task.unit(run)
    identity = network_identity(task, prepared, study_dir)
    if unit.record.exists():
        if read_record(unit)["identity"] != identity:
            raise UserError(
                f"{unit.folder} holds '{task.title}' trained on other images, from other weights or by another "
                "version; choose another --out, or delete that folder to train it again"
            )
        return 0.0
    began = time.monotonic()
    model = build_classifier(task.row, task.size, task.seed, study_dir)
    evaluation_cache, training_cache = prepared.pixels.at(task.size)
    train_images = labelled_images(prepared, training_cache, task.split.train)
    validation = labelled_images(prepared, evaluation_cache, task.split.validation)
    fit = Fit(
        model, train_images, validation, task.row, prepared.study.augment, task.seed, task.split.fold, device,
        unit.checkpoint, identity, task.title, views=task.row.drawn_views(prepared.study.augment),
    )  # fmt: skip
    history = train(fit, progress)
    run.write_table(unit.folder / "history.csv", history)
    evaluated = labelled_images(prepared, evaluation_cache, task.split.train)
    patient = prepared.cohort.table.set_index("image")["patient"]
    for name, images in (("predictions.csv", validation), ("train_predictions.csv", evaluated)):
        patients = patient.loc[list(images.images)].tolist()
        predictions = prediction_table(model, images, device, task.row.name, task.seed, task.split.fold, patients)
        run.write_table(unit.folder / name, predictions)
    save_tensors(unit.weights, model.state_dict())
    record = network_record(task.row, model, identity, task.row.drawn_views(prepared.study.augment))
    write_text(unit.record, json.dumps(record, indent=1) + "\n")
    unit.checkpoint.unlink(missing_ok=True)
    return time.monotonic() - began


def labelled_images(prepared: Prepared, cache: ImageCache, images: Sequence[str]) -> LabelledImages:
    """The named images of a cache with their labels."""
    return LabelledImages(cache, tuple(images), prepared.labels.loc[list(images)].to_numpy(np.float32))


def network_identity(task: TrainingTask, prepared: Prepared, study_dir: Path | None) -> str:
    """SHA-256 of what a network's bits depend on: row, weights, images and their order, augmentation, seed, fold."""
    study = prepared.study
    weights = find_weights(task.row.weights, task.row.backbone, study_dir)
    facts = prepared.cache.facts.set_index("image")
    content = facts["sha256"]
    inputs: dict[str, Any] = {
        "version": __version__,
        "row": task.row.model_dump(mode="json", exclude={"paper", "size", "instead_of", "views"}),
        # A checkpoint of a frozen network holds only its head, which is useless with another backbone.
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else None,
        "images": study.images.model_dump(mode="json") | {"size": task.size},
        "augment": study.augment.model_dump(mode="json"),
        "seed": task.seed,
        "fold": task.split.fold,
        "train": [[image, content[image], prepared.labels[image]] for image in task.split.train],
        "validation": [[image, content[image]] for image in task.split.validation],
    }
    if views := task.row.drawn_views(study.augment):
        inputs["views"] = views
    if depths := {image: int(depth) for image, depth in facts["depth"].dropna().items()}:
        inputs["depths"] = depths
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
