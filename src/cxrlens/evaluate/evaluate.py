"""From predictions to Table 1: AUCs with intervals, every pair compared, calibration, threshold, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import METHOD, AucInterval, check_level, interval_of
from cxrlens.evaluate.calibration import Calibration, calibration
from cxrlens.evaluate.comparisons import compare, winner
from cxrlens.evaluate.curves import curves
from cxrlens.evaluate.influence import MIN_TRAININGS, Influence
from cxrlens.evaluate.networks import (
    Network,
    Validation,
    model_influence,
    networks_no_auc_reason,
    rates,
    read_predictions,
    seed_aucs,
)
from cxrlens.evaluate.records import Evaluation, ModelResult, OperatingPoint, SeedAuc, Settings
from cxrlens.evaluate.subgroups import groups, subgroups


def evaluate(
    predictions: pd.DataFrame,
    training: pd.DataFrame | None,
    cohort_table: pd.DataFrame,
    level: float = 0.95,
    model_order: Sequence[str] | None = None,
) -> Evaluation:
    """Evaluates every model on the validation images.

    A model's AUC is the mean over seeds of the mean over folds, weighted by pairs, of each network's AUC. Images are
    ranked by the logit, since probabilities saturate. The interval by patients takes the networks as trained. With 3
    trainings or more, a second interval also covers the variation over trainings.

    Args:
        predictions: predictions of the validation images, with the columns model, seed, fold, image, patient, label (1,
            0 or NaN), probability and logit.
        training: predictions of the training images with the same columns, from which thresholds are chosen; None for
            no thresholds.
        cohort_table: one row for each image, with `image` and any of the columns sex, age, view and source.
        level: confidence level of the intervals, between 0 and 1.
        model_order: names of the models in the order of the result; by default the order of first appearance.

    Raises:
        UserError: see `read_predictions`; a model has fewer than 2 images of a class, or no fold with images of both
            classes; the level is not between 0 and 1.
    """
    check_level(level)
    data = read_predictions(predictions, training, model_order)
    for name, networks in data.models.items():
        if reason := networks_no_auc_reason(networks, data.labels):
            raise UserError(f"{name}: {reason}")
    attributes = groups(data.images.tolist(), cohort_table)
    influences = {name: model_influence(networks, data) for name, networks in data.models.items()}
    models = tuple(
        _model(name, networks, data, interval_of(influences[name], data.labels, level), attributes, level)
        for name, networks in data.models.items()
    )
    comparisons = compare(influences, level)
    best = winner({model.name: model.auc for model in models}, comparisons, level)
    return Evaluation(models, comparisons, best, Settings(level, METHOD, _trainings(influences), data.unlabelled))


def _trainings(influences: Mapping[str, Influence]) -> str:
    """What the interval over patients and trainings counts: "seeds", "folds", or "" where a model has too few."""
    if any(len(influence.trainings) < MIN_TRAININGS for influence in influences.values()):
        return ""
    return "folds" if any(influence.overlap > 0 for influence in influences.values()) else "seeds"


def _model(
    name: str,
    networks: Sequence[Network],
    data: Validation,
    estimate: AucInterval,
    attributes: dict[str, np.ndarray],
    level: float,
) -> ModelResult:
    seeds = seed_aucs(networks, data)
    return ModelResult(
        name=name,
        auc=estimate.auc,
        auc_low=estimate.low,
        auc_high=estimate.high,
        auc_train_low=estimate.train_low,
        auc_train_high=estimate.train_high,
        rough=estimate.rough,
        reason=estimate.reason,
        seeds=len(seeds),
        folds=len({net.fold for net in networks}),
        auc_seed_sd=float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else np.nan,
        seed_aucs=tuple(SeedAuc(number, value) for number, value in seeds.items()),
        images=len(data.labels),
        patients=data.patient_numbers[1],
        positive=estimate.positives,
        negative=estimate.negatives,
        calibration=_calibration(networks, data.labels),
        threshold=_operating_point(networks, data, level),
        curves=curves(networks, data.labels, level),
        subgroups=subgroups(networks, data, attributes, level),
    )


def _calibration(networks: Sequence[Network], labels: np.ndarray) -> Calibration:
    """The mean over seeds; a seed's folds are pooled, since a probability means the same in every network."""
    of_seeds = []
    for seed in sorted({net.seed for net in networks}):
        of_seed = [net for net in networks if net.seed == seed]
        rows, logits, probabilities = (
            np.concatenate([getattr(net, key) for net in of_seed]) for key in ("rows", "logits", "probabilities")
        )
        of_seeds.append(calibration(labels[rows], logits, probabilities))
    reason = next((one.reason for one in of_seeds if one.reason), "")
    intercept, slope, brier = np.mean([[one.intercept, one.slope, one.brier] for one in of_seeds], axis=0).tolist()
    return Calibration(intercept, slope, brier, reason)


def _operating_point(
    networks: Sequence[Network], data: Validation, level: float, rule: str = "youden"
) -> OperatingPoint:
    sensitivity, specificity = rates(networks, data, level)
    value = float(np.mean([expit(net.threshold) for net in networks]))
    reason = "" if np.isfinite(value) else "no training predictions of both classes to choose a threshold on"
    limits = [(r.value, r.low, r.high, r.wilson_low, r.wilson_high) for r in (sensitivity, specificity)]
    return OperatingPoint(value, rule, *limits[0], *limits[1], reason)
