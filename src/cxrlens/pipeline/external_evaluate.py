"""AUCs of a run's networks outside (other images) and inside (the run's own images), and their difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.evaluate.comparisons import Comparison, compare, corrected
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.evaluate.networks import model_influence, read_predictions
from cxrlens.evaluate.records import Evaluation, ModelResult
from cxrlens.pipeline.finished_run import FinishedRun
from cxrlens.pipeline.prepare import decode_images
from cxrlens.progress import SILENT, Progress
from cxrlens.study import folder_name
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.predict import predict_batches, probabilities


@dataclass(frozen=True)
class NetworkAuc:
    """AUC of one network outside."""

    seed: int
    fold: int
    auc: float


@dataclass(frozen=True)
class ExternalModel:
    """A model outside and inside.

    Attributes:
        name: name of the model.
        inside_auc: AUC of the model in `results.json`.
        inside_low: lower end of its interval, by patient.
        inside_high: upper end of its interval, by patient.
        outside: results on the other images: the mean over all networks, each of which predicts every image. If a seed
            has several folds, its `seeds` are the networks.
        networks: AUC of each network outside.
        change: `difference` is the AUC inside minus the AUC outside. `low`, `high` and `p` are by patient, with
            independent patients inside and outside and the networks as trained. `p_holm` is corrected over the models.
        inside_rough: whether a class has so few patients that the interval inside is rough.
        inside_reason: reason why there is no interval inside; "" if there is one.
    """

    name: str
    inside_auc: float
    inside_low: float
    inside_high: float
    outside: ModelResult
    networks: tuple[NetworkAuc, ...]
    change: Comparison
    inside_rough: bool = False
    inside_reason: str = ""


def training_predictions(run: FinishedRun) -> pd.DataFrame:
    """Predictions of the training images of every network, which give its threshold."""
    networks = run.predictions[["model", "seed", "fold"]].drop_duplicates()
    units = [run.folder.unit(folder_name(model), seed, fold) for model, seed, fold in networks.itertuples(index=False)]
    return pd.concat([run.folder.read_table(unit.folder / "train_predictions.csv") for unit in units])


def evaluate_outside(
    run: FinishedRun,
    predictions: pd.DataFrame,
    training: pd.DataFrame,
    table: pd.DataFrame,
    groups: Mapping[str, str],
    run_groups: Mapping[str, str],
) -> tuple[Evaluation, tuple[ExternalModel, ...]]:
    """Evaluates every model outside, as `evaluate` does inside, and its difference between inside and outside.

    Args:
        run: the finished run.
        predictions: predictions of the other images by every network, with the columns of `predictions.csv`.
        training: predictions of the training images, see `training_predictions`.
        table: cohort rows of the other images.
        groups: patient of the other images → the patient that it counts as.
        run_groups: patient of the run → the patient that it counts as.

    Raises:
        UserError: see `evaluate`.
    """
    options, results = run.study.evaluation, run.results
    names = [model["name"] for model in results["models"]]
    numbers = _numbers(predictions)
    outside = _grouped(predictions, groups)
    outside, training = (_numbered(rows, numbers) for rows in (outside, training))
    evaluation = evaluate(outside, training, table, options.level, names)
    results_outside = {model.name: model for model in evaluation.models}
    predictions_of = {
        "inside": read_predictions(_grouped(run.predictions, run_groups), None, names),
        "outside": read_predictions(outside, None, names),
    }
    changes = []
    for name in names:
        influences = {
            images: replace(model_influence(data.models[name], data), trainings=())  # both are the same networks
            for images, data in predictions_of.items()
        }
        changes += compare(influences, options.level, independent=True)
    models = [
        ExternalModel(
            name=model["name"],
            inside_auc=model["auc"],
            inside_low=model["auc_low"],
            inside_high=model["auc_high"],
            outside=results_outside[model["name"]],
            networks=_networks(results_outside[model["name"]], numbers),
            change=change,
            inside_rough=bool(model.get("rough")),
            inside_reason=model.get("reason") or "",
        )
        for model, change in zip(results["models"], corrected(changes), strict=True)
    ]
    return evaluation, tuple(models)


def _numbers(predictions: pd.DataFrame) -> dict[tuple[str, int, int], int]:
    """(model, seed, fold) → the number that replaces the seed outside, where all folds predict the same images."""
    keys = list(predictions[["model", "seed", "fold"]].drop_duplicates().itertuples(index=False, name=None))
    if len({fold for _, _, fold in keys}) == 1:
        return {key: key[1] for key in keys}
    order = {pair: number for number, pair in enumerate(sorted({key[1:] for key in keys}))}
    return {key: order[key[1:]] for key in keys}


def _numbered(table: pd.DataFrame, numbers: Mapping[tuple[str, int, int], int]) -> pd.DataFrame:
    keys = zip(table["model"], table["seed"], table["fold"], strict=True)
    return table.assign(seed=[numbers[key] for key in keys], fold=0)


def _grouped(predictions: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    return predictions.assign(patient=[groups.get(patient, patient) for patient in predictions["patient"]])


def _networks(outside: ModelResult, numbers: Mapping[tuple[str, int, int], int]) -> tuple[NetworkAuc, ...]:
    aucs = {estimate.seed: estimate.auc for estimate in outside.seed_aucs}
    keys = [key for key in numbers if key[0] == outside.name]
    return tuple(NetworkAuc(seed, fold, aucs[numbers[name, seed, fold]]) for name, seed, fold in keys)


def predict_outside(
    run: FinishedRun, cohort: Cohort, table: pd.DataFrame, device: Device, progress: Progress = SILENT
) -> pd.DataFrame:
    """Predicts other images with every network of a run.

    Args:
        run: the finished run.
        cohort: listed images of the other set.
        table: rows of the images to predict, each readable and with a label.
        device: device on which the networks run.
        progress: display of the work in progress.

    Returns:
        The columns of `predictions.csv`, one row per network and image: model, seed, fold, image, patient, label,
        probability, logit.
    """
    networks = run.predictions[["model", "seed", "fold"]].drop_duplicates()
    caches: dict[int, ImageCache] = {}
    tables = []
    with progress.task("predicting", len(networks) * len(table)) as task:
        for model, seed, fold in networks.itertuples(index=False):
            size = run.size(model, seed=seed, fold=fold)
            if size not in caches:
                caches[size] = decode_images(cohort, size, run.study.images.interpolation, progress, run.depth)
            images = LabelledImages(caches[size], tuple(table["image"]), table["label"].to_numpy(np.float32))
            network = device.place(run.model(model, seed=seed, fold=fold))
            title, before = f"{model} (seed {seed}, fold {fold})", len(tables) * len(table)
            logits = predict_batches(
                network, images.pixels, len(table), device,
                update=lambda done, title=title, before=before: task.update(before + done, network=title),
            ).numpy().astype(np.float64)  # fmt: skip
            columns = {
                "model": model, "seed": seed, "fold": fold, "image": images.images,
                "patient": table["patient"].to_numpy(), "label": images.labels.astype(int),
                "probability": probabilities(logits), "logit": logits,
            }  # fmt: skip
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
