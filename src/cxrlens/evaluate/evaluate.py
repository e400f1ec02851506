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
from cxrlens.evaluate.influence import TRAININGS, Influence
from cxrlens.evaluate.networks import (
    Network,
    Validation,
    model_influence,
    networks_without_auc,
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
    """Judges every model on the validation images.

    A model's AUC is the mean over seeds of the mean over folds (by pairs) of the AUC within a network, ranked by the
    logit, since probabilities saturate. Its interval by patients is of the networks as trained; with 3 trainings or
    more a second one says what other patients and other trainings would change together.

    Args:
        predictions: of validation images: model, seed, fold, image, patient, label (1, 0, NaN), probability, logit.
        training: the same of the training side, from which thresholds come; None for no thresholds.
        cohort_table: a row an image, with `image` and what is known of sex, age, view and source.
        level: of the intervals.
        model_order: names in the order wanted; by first appearance otherwise.

    Raises:
        UserError: see `read_predictions`; a model has fewer than 2 images of a class, or no fold with images of both; a
            level outside (0, 1).
    """
    check_level(level)
    data = read_predictions(predictions, training, model_order)
    for name, networks in data.models.items():
        if reason := networks_without_auc(networks, data.labels):
            raise UserError(f"{name}: {reason}")
    of = groups(data.images.tolist(), cohort_table)
    influences = {name: model_influence(networks, data) for name, networks in data.models.items()}
    models = tuple(
        _model(name, networks, data, interval_of(influences[name], data.labels, level), of, level)
        for name, networks in data.models.items()
    )
    comparisons = compare(influences, level)
    best = winner({model.name: model.auc for model in models}, comparisons, level)
    return Evaluation(models, comparisons, best, Settings(level, METHOD, _trainings(influences), data.unlabelled))


def _trainings(influences: Mapping[str, Influence]) -> str:
    """What the interval over patients and trainings is of: "seeds", "folds", or "" where a model has too few."""
    if any(len(each.trainings) < TRAININGS for each in influences.values()):
        return ""
    return "folds" if any(each.overlap > 0 for each in influences.values()) else "seeds"


def _model(
    name: str,
    networks: Sequence[Network],
    data: Validation,
    found: AucInterval,
    of: dict[str, np.ndarray],
    level: float,
) -> ModelResult:
    seeds = seed_aucs(networks, data)
    return ModelResult(
        name=name,
        auc=found.auc,
        auc_low=found.low,
        auc_high=found.high,
        auc_train_low=found.train_low,
        auc_train_high=found.train_high,
        rough=found.rough,
        reason=found.reason,
        seeds=len(seeds),
        folds=len({net.fold for net in networks}),
        auc_seed_sd=float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else np.nan,
        seed_aucs=tuple(SeedAuc(number, value) for number, value in seeds.items()),
        images=len(data.labels),
        patients=data.who[1],
        positive=found.positives,
        negative=found.negatives,
        calibration=_calibration(networks, data.labels),
        threshold=_operating_point(networks, data, level),
        curves=curves(networks, data.labels, level),
        subgroups=subgroups(networks, data, of, level),
    )


def _calibration(networks: Sequence[Network], labels: np.ndarray) -> Calibration:
    """The mean over seeds, a seed's folds pooled: a probability means the same in every network, unlike a rank."""
    found = []
    for seed in sorted({net.seed for net in networks}):
        parts = [net for net in networks if net.seed == seed]
        rows, logits, chances = (
            np.concatenate([getattr(n, key) for n in parts]) for key in ("rows", "logits", "probabilities")
        )
        found.append(calibration(labels[rows], logits, chances))
    reason = next((one.reason for one in found if one.reason), "")
    intercept, slope, brier = np.mean([[one.intercept, one.slope, one.brier] for one in found], axis=0).tolist()
    return Calibration(intercept, slope, brier, reason)


def _operating_point(
    networks: Sequence[Network], data: Validation, level: float, rule: str = "youden"
) -> OperatingPoint:
    sensitivity, specificity = rates(networks, data, level)
    value = float(np.mean([expit(net.threshold) for net in networks]))
    reason = "" if np.isfinite(value) else "no training predictions of both classes to choose a threshold on"
    limits = [(r.value, r.low, r.high, r.wilson_low, r.wilson_high) for r in (sensitivity, specificity)]
    return OperatingPoint(value, rule, *limits[0], *limits[1], reason)
