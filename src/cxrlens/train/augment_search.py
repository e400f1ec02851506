"""Augmentation search: trains every combination on the same folds, from the same weights, in the same order.

The paper (West et al. 2020) compared combinations by the benchmark's validation AUC. Here the caller gives the folds,
which should lie inside the training set.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cxrlens import __version__
from cxrlens.data.augment import Augmentation, in_words
from cxrlens.errors import UserError
from cxrlens.files import write_text
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import read_csv
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.training_options import TrainingOptions

COLUMNS = ("combination", "augmentation", "fold", "auc", "train", "validation", "seconds", "identity")


@dataclass(frozen=True)
class Search:
    """The augmentations that are compared, and the folds and the network that they are compared on.

    Attributes:
        combinations: augmentations by name.
        folds: training and validation images of each fold, each with both classes.
        model: network that is trained in every trial.
        training: batch, epochs and steps of every trial.
        size: side of the images, in pixels.
        seed: seed of weights, order and augmentation. All combinations share it, so that the trials of a fold are
            pairs.
        device: device that trains.
    """

    combinations: Mapping[str, Augmentation]
    folds: Sequence[tuple[LabelledImages, LabelledImages]]
    model: ModelOptions
    training: TrainingOptions
    size: int
    seed: int
    device: Device

    @cached_property
    def identity(self) -> str:
        """Hash of everything but the combination that a trial depends on; only trials of one identity compare."""
        facts: dict[str, Any] = {
            "version": __version__,
            "model": self.model.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "size": self.size,
            "seed": self.seed,
            "cuda": self.device.is_cuda,
            "folds": [[[*images.images], images.labels.tolist()] for fold in self.folds for images in fold],
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for images in self.folds[0]:
            for start in range(0, len(images.images), 256):
                digest.update(images.cache.batch(images.images[start : start + 256]).tobytes())
        return digest.hexdigest()[:16]


def search(plan: Search, file: Path, progress: Progress = SILENT) -> pd.DataFrame:
    """Trains every combination on every fold, except for the trials that `file` already holds.

    Args:
        plan: the augmentations, folds and network.
        file: CSV file with one row per finished trial; it is rewritten atomically after each trial.
        progress: display of the progress.

    Returns:
        One row per trial: combination, augmentation (as in a study file), fold, auc (of the fold's validation images
        after the last epoch), train and validation (numbers of images), seconds, identity.

    Raises:
        UserError: `file` is damaged or holds trials of other data or options, or a training fails.
        KeyboardInterrupt: Ctrl-C; every finished trial is in `file`.
    """
    trials = _finished(plan, file)
    done = {(trial["combination"], trial["fold"]) for trial in trials}
    # Fold by fold, so that the trials of an interrupted search are already pairs.
    waiting = [
        (fold, name) for fold in range(len(plan.folds)) for name in plan.combinations if (name, fold) not in done
    ]
    with progress.task("augmentations", len(done) + len(waiting)) as task:
        task.update(len(done))
        for fold, name in waiting:
            trials.append(_trial(plan, name, fold, progress))
            write_text(file, pd.DataFrame(trials, columns=list(COLUMNS)).to_csv(index=False, lineterminator="\n"))
            task.update(len(trials), combination=name, auc=trials[-1]["auc"])
    rank = {name: number for number, name in enumerate(plan.combinations)}
    trials = sorted(
        (trial for trial in trials if trial["combination"] in rank),
        key=lambda trial: (rank[trial["combination"]], trial["fold"]),
    )
    return pd.DataFrame(trials, columns=list(COLUMNS))


def _trial(plan: Search, name: str, fold: int, progress: Progress) -> dict[str, Any]:
    data, validation = plan.folds[fold]
    start = time.perf_counter()
    history = train(
        Fit(
            model=build_classifier(plan.model, plan.size, plan.seed),
            data=data,
            validation=validation,
            options=plan.training.model_copy(update={"augment": True}),
            augmentation=plan.combinations[name],
            seed=plan.seed,
            fold=fold,
            device=plan.device,
            title=f"{name}, fold {fold + 1} of {len(plan.folds)}",
        ),
        progress,
    )
    auc = float(history["validation_auc"].iloc[-1])
    seconds = round(time.perf_counter() - start, 3)
    description = in_words(plan.combinations[name])
    counts = (len(data.images), len(validation.images))
    return dict(zip(COLUMNS, (name, description, fold, auc, *counts, seconds, plan.identity), strict=True))


def _finished(plan: Search, file: Path) -> list[dict[str, Any]]:
    """Reads the finished trials from `file`."""
    if not file.exists():
        return []
    advice = f"delete {file}, or choose another folder, to search from the start"
    try:
        table = read_csv(file)
        trials = [{str(name): value for name, value in row.items()} for row in table[list(COLUMNS)].to_dict("records")]
        aucs = [float(trial["auc"]) for trial in trials]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} is not a table of finished trials ({error}); {advice}") from error
    for trial, auc in zip(trials, aucs, strict=True):
        trial["auc"] = auc
        augmentation = plan.combinations.get(trial["combination"])
        other_strength = augmentation and trial["augmentation"] != in_words(augmentation)
        if trial["identity"] != plan.identity or other_strength:
            raise UserError(
                f"{file} holds trials with other data or options, which cannot be compared with these; {advice}"
            )
    return trials
