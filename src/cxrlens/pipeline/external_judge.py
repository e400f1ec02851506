"""A run's networks outside, beside what they did inside: AUCs, and the difference with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cxrlens.evaluate.cluster_bootstrap import patient_draws
from cxrlens.evaluate.compare import Comparison, Scored, compare, holm
from cxrlens.evaluate.delong import paired_from_variance
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.evaluate.networks import Network, Validation, read_predictions
from cxrlens.evaluate.records import Evaluation, ModelResult
from cxrlens.evaluate.score import auc_interval, model_delong
from cxrlens.pipeline.finished import Run
from cxrlens.study import folder_name


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
        inside_auc: of `results.json`; `inside_low` and `inside_high` by patients.
        outside: the same of the other images: the mean over all networks, each of which saw every image. Its `seeds`
            are its networks, where a seed has several folds.
        networks: each one's AUC outside.
        change: `difference` is the AUC inside minus the one outside; `low`, `high` and `p` from draws of patients
            made apart, `p_holm` among the models, `p_delong` of images as if independent.
    """

    name: str
    inside_auc: float
    inside_low: float
    inside_high: float
    outside: ModelResult
    networks: tuple[NetworkAuc, ...]
    change: Comparison


def training_predictions(run: Run) -> pd.DataFrame:
    """The training side of every network, from which its threshold comes."""
    networks = run.predictions[["model", "seed", "fold"]].drop_duplicates()
    units = [run.folder.unit(folder_name(model), seed, fold) for model, seed, fold in networks.itertuples(index=False)]
    return pd.concat([run.folder.read_table(unit.folder / "train_predictions.csv") for unit in units])


def judge_outside(
    run: Run,
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
    apart = options.seed + 1  # else as many patients here as there would be drawn alike
    judged = evaluate(outside, fitted, table, options.level, options.draws, apart, names)
    of = {model.name: model for model in judged.models}
    before = read_predictions(_grouped(run.predictions, run_groups), None, names)
    after = read_predictions(outside, None, names)
    drawn, drawn_after = _drawn(before, options.draws, options.seed), _drawn(after, options.draws, apart)
    changes = []
    for name in names:
        sides = {
            "inside": _scored(before.models[name], before, drawn, options.level),
            "outside": _scored(after.models[name], after, drawn_after, options.level),
        }
        # Other images, so the two variances add.
        variance = sum(model_delong(data.models[name], data.labels) for data in (before, after))
        gap = sides["inside"].auc - sides["outside"].auc
        p_delong = paired_from_variance(gap, variance, options.level).p
        changes += compare(sides, {("inside", "outside"): p_delong}, options.level)
    adjusted = holm([change.p for change in changes])
    models = [
        ExternalModel(
            name=model["name"],
            inside_auc=model["auc"],
            inside_low=model["auc_low"],
            inside_high=model["auc_high"],
            outside=of[model["name"]],
            networks=_networks(of[model["name"]], numbers),
            change=replace(change, p_holm=float(p)),
        )
        for model, change, p in zip(results["models"], changes, adjusted, strict=True)
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


def _drawn(data: Validation, draws: int, seed: int) -> np.ndarray:
    return patient_draws(data.patients, data.labels, draws, np.random.default_rng(seed)).weights


def _scored(networks: tuple[Network, ...], data: Validation, weights: np.ndarray, level: float) -> Scored:
    return Scored(*auc_interval(networks, data, weights, level))


def _networks(outside: ModelResult, numbers: Mapping[tuple[str, int, int], int]) -> tuple[NetworkAuc, ...]:
    aucs = {each.seed: each.auc for each in outside.seed_aucs}
    keys = [key for key in numbers if key[0] == outside.name]
    return tuple(NetworkAuc(seed, fold, aucs[numbers[name, seed, fold]]) for name, seed, fold in keys)
