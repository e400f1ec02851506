"""Augmentation search: trains every combination on the same folds, from the same weights, in the same order.

The paper (West et al. 2020) compared combinations by the benchmark's validation AUC. Here the caller gives the folds,
which should lie inside the training set. The predictions of every training are kept, since intervals by patient need
them.
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

import numpy as np
import pandas as pd

from cxrlens import __version__
from cxrlens.data.augment import Augmentation, in_words
from cxrlens.errors import UserError
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.run_folder import RunFolder, read_csv
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages, prediction_table
from cxrlens.train.loop import Fit, train
from cxrlens.train.training_options import TrainingOptions

TRIALS, PREDICTIONS = "augment_trials.csv", "augment_predictions.csv"
COLUMNS = ("combination", "augmentation", "fold", "auc", "train", "validation", "seconds", "identity")
PREDICTION_COLUMNS = ("model", "seed", "fold", "image", "patient", "label", "probability", "logit")


@dataclass(frozen=True)
class Search:
    """The augmentations that are compared, and the folds and the network that they are compared on.

    Attributes:
        combinations: augmentations by name.
        folds: training and validation images of each fold, each with both classes.
        patients: image → the patient that it counts as.
        model: network that is trained in every trial.
        training: batch, epochs and steps of every trial.
        size: side of the images, in pixels.
        seed: seed of weights, order and augmentation. All combinations share it, so that the trials of a fold are
            pairs.
        device: device that trains.
    """

    combinations: Mapping[str, Augmentation]
    folds: Sequence[tuple[LabelledImages, LabelledImages]]
    patients: Mapping[str, str]
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
            "patients": [self.patients[image] for _, validation in self.folds for image in validation.images],
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for images in self.folds[0]:
            for start in range(0, len(images.images), 256):
                digest.update(images.cache.batch(images.images[start : start + 256]).tobytes())
        return digest.hexdigest()[:16]


def search(plan: Search, folder: Path, progress: Progress = SILENT) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trains every combination on every fold, except for the trials that the folder already holds.

    `augment_predictions.csv` is written before `augment_trials.csv`, each atomically. A trial that the second file
    lists therefore has its predictions in the first, at whatever moment the search is stopped.

    Args:
        plan: the augmentations, folds and network.
        folder: folder of the two files, which are rewritten after each trial.
        progress: display of the progress.

    Returns:
        The trials, one row each: combination, augmentation (as in a study file), fold, auc (of the fold's validation
        images after the last epoch), train and validation (numbers of images), seconds, identity. And the trained
        networks' predictions of the validation images, one row each: model (the combination), seed, fold, image,
        patient, label, probability, logit.

    Raises:
        UserError: the folder's files are damaged, lack predictions or are of other data or options, or a training
            fails.
        KeyboardInterrupt: Ctrl-C; every finished trial is in the folder.
    """
    trials, predictions = _finished(plan, folder)
    done = {(trial["combination"], trial["fold"]) for trial in trials}
    # Fold by fold, so that the trials of an interrupted search are already pairs.
    waiting = [
        (fold, name) for fold in range(len(plan.folds)) for name in plan.combinations if (name, fold) not in done
    ]
    with progress.task("augmentations", len(done) + len(waiting)) as task:
        task.update(len(done))
        for fold, name in waiting:
            trial, predicted = _trial(plan, name, fold, progress)
            trials.append(trial)
            predictions = pd.concat([predictions, predicted], ignore_index=True) if len(predictions) else predicted
            RunFolder(folder).write_table(folder / PREDICTIONS, predictions)
            RunFolder(folder).write_table(folder / TRIALS, pd.DataFrame(trials, columns=list(COLUMNS)))
            task.update(len(trials), combination=name, auc=trial["auc"])
    rank = {name: number for number, name in enumerate(plan.combinations)}
    trials = sorted(
        (trial for trial in trials if trial["combination"] in rank),
        key=lambda trial: (rank[trial["combination"]], trial["fold"]),
    )
    wanted = predictions[predictions["model"].isin(list(rank))]
    order = np.lexsort((wanted["fold"], wanted["model"].map(rank)))
    return pd.DataFrame(trials, columns=list(COLUMNS)), wanted.iloc[order].reset_index(drop=True)


def _trial(plan: Search, name: str, fold: int, progress: Progress) -> tuple[dict[str, Any], pd.DataFrame]:
    data, validation = plan.folds[fold]
    start = time.perf_counter()
    model = build_classifier(plan.model, plan.size, plan.seed)
    history = train(
        Fit(
            model=model,
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
    patients = [plan.patients[image] for image in validation.images]
    predictions = prediction_table(model, validation, plan.device, name, plan.seed, fold, patients)
    auc = float(history["validation_auc"].iloc[-1])
    seconds = round(time.perf_counter() - start, 3)
    description = in_words(plan.combinations[name])
    counts = (len(data.images), len(validation.images))
    trial = dict(zip(COLUMNS, (name, description, fold, auc, *counts, seconds, plan.identity), strict=True))
    return trial, predictions


def _finished(plan: Search, folder: Path) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Reads the finished trials and their predictions, without those of a trial that was stopped before its end."""
    file, none = folder / TRIALS, pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    if not file.exists():
        return [], none
    advice = f"delete {file}, or choose another folder, to search from the start"
    try:
        table = read_csv(file)
        trials = [{str(name): value for name, value in row.items()} for row in table[list(COLUMNS)].to_dict("records")]
        aucs = [float(trial["auc"]) for trial in trials]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} is not a table of finished trials ({error}); {advice}") from error
    if trials and not (folder / PREDICTIONS).exists():
        raise UserError(
            f"{folder} lists {len(trials)} finished trials but has no {PREDICTIONS}, from which intervals by patient "
            f"are computed; earlier versions kept the AUCs only. {advice[0].upper()}{advice[1:]}"
        )
    for trial, auc in zip(trials, aucs, strict=True):
        trial["auc"] = auc
        augmentation = plan.combinations.get(trial["combination"])
        other_strength = augmentation and trial["augmentation"] != in_words(augmentation)
        if trial["identity"] != plan.identity or other_strength:
            raise UserError(
                f"{file} holds trials with other data or options, which cannot be compared with these; {advice}"
            )
    return trials, _predictions(plan, folder / PREDICTIONS, trials, advice) if trials else none


def _predictions(plan: Search, file: Path, trials: Sequence[Mapping[str, Any]], advice: str) -> pd.DataFrame:
    """The predictions of the finished trials, each checked to be of the images of its fold."""
    try:
        table = read_csv(file)[list(PREDICTION_COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} is not a table of predictions ({error}); {advice}") from error
    parts = []
    for trial in trials:
        name, fold = trial["combination"], trial["fold"]
        part = table[(table["model"] == name) & (table["fold"] == fold)]
        _, validation = plan.folds[fold]
        labels = np.asarray(part["label"], dtype=np.float32)
        if part["image"].tolist() != [*validation.images] or not np.array_equal(
            labels, validation.labels, equal_nan=True
        ):
            raise UserError(
                f"{file} does not hold the predictions of '{name}' for the {len(validation.images)} validation images "
                f"of fold {fold}, although {TRIALS} lists that training as finished; {advice}"
            )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
