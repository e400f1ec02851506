"""A run's networks outside, beside what they did inside: AUCs, and the difference with an interval."""

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
from cxrlens.pipeline.prepare import decoded
from cxrlens.progress import SILENT, Progress
from cxrlens.study import folder_name
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.predict import predict_batches, probabilities


@dataclass(frozen=True)
class NetworkAuc:
    """The AUC of one network outside."""

    seed: int
    fold: int
    auc: float


@dataclass(frozen=True)
class ExternalModel:
    """A model outside and inside.

    Attributes:
        name: of the row.
        inside_auc: of `results.json`; `inside_low` and `inside_high` by patients, `inside_rough` where they are few and
            `inside_reason` where there is no interval.
        outside: the same of the other images: the mean over all networks, each of which saw every image. Its `seeds`
            are its networks, where a seed has several folds.
        networks: each one's AUC outside.
        change: `difference` is the AUC inside minus the one outside; `low`, `high` and `p` by patients, who are others
            outside, and of the networks as trained; `p_holm` among the models.
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
    """The training side of every network, from which its threshold comes."""
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
    """Judges every model outside, as `evaluate` does inside, and takes the difference.

    Args:
        run: finished.
        predictions: of the other images by every network, with the columns of `predictions.csv`.
        training: see `training_predictions`.
        table: a row an image of the other set.
        groups: patient → the patient it counts as, outside.
        run_groups: the same of the run's own patients.

    Raises:
        UserError: see `evaluate`.
    """
    options, results = run.study.evaluation, run.results
    names = [model["name"] for model in results["models"]]
    numbers = _numbers(predictions)
    outside = _grouped(predictions, groups)
    outside, fitted = (_numbered(each, numbers) for each in (outside, training))
    judged = evaluate(outside, fitted, table, options.level, names)
    of = {model.name: model for model in judged.models}
    before = read_predictions(_grouped(run.predictions, run_groups), None, names)
    after = read_predictions(outside, None, names)
    changes = []
    for name in names:
        sides = {
            side: replace(model_influence(data.models[name], data), trainings=())  # the same networks on both sides
            for side, data in (("inside", before), ("outside", after))
        }
        changes += compare(sides, options.level, apart=True)
    models = [
        ExternalModel(
            name=model["name"],
            inside_auc=model["auc"],
            inside_low=model["auc_low"],
            inside_high=model["auc_high"],
            outside=of[model["name"]],
            networks=_networks(of[model["name"]], numbers),
            change=change,
            inside_rough=bool(model.get("rough")),
            inside_reason=model.get("reason") or "",
        )
        for model, change in zip(results["models"], corrected(changes), strict=True)
    ]
    return judged, tuple(models)


def _numbers(predictions: pd.DataFrame) -> dict[tuple[str, int, int], int]:
    """(model, seed, fold) → the number that stands for a seed outside: there, folds have seen the same images."""
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
    aucs = {each.seed: each.auc for each in outside.seed_aucs}
    keys = [key for key in numbers if key[0] == outside.name]
    return tuple(NetworkAuc(seed, fold, aucs[numbers[name, seed, fold]]) for name, seed, fold in keys)


# Predictions of other images by every network of a run, with the columns of `predictions.csv`.


def predict_outside(
    run: FinishedRun, cohort: Cohort, table: pd.DataFrame, device: Device, progress: Progress = SILENT
) -> pd.DataFrame:
    """A row a network and image: model, seed, fold, image, patient, label, probability, logit.

    Args:
        run: finished.
        cohort: of the other images.
        table: its rows of those that are to be looked at, each readable and with a label.
        device: where the networks run.
        progress: where work is shown.
    """
    networks = run.predictions[["model", "seed", "fold"]].drop_duplicates()
    caches: dict[int, ImageCache] = {}
    tables = []
    with progress.task("predicting", len(networks) * len(table)) as task:
        for model, seed, fold in networks.itertuples(index=False):
            size = run.size(model, seed=seed, fold=fold)
            if size not in caches:
                caches[size] = decoded(cohort, size, run.study.images.interpolation, progress, run.depth)
            images = LabelledImages(caches[size], tuple(table["image"]), table["label"].to_numpy(np.float32))
            network = device.place(run.model(model, seed=seed, fold=fold))
            title, before = f"{model} (seed {seed}, fold {fold})", len(tables) * len(table)
            logits = predict_batches(
                network, images.pixels, len(table), device,
                update=lambda done, title=title, before=before: task.update(before + done, network=title),
            ).numpy().astype(np.float64)  # fmt: skip
            told = {
                "model": model, "seed": seed, "fold": fold, "image": images.images,
                "patient": table["patient"].to_numpy(), "label": images.labels.astype(int),
                "probability": probabilities(logits), "logit": logits,
            }  # fmt: skip
            tables.append(pd.DataFrame(told))
    return pd.concat(tables, ignore_index=True)
