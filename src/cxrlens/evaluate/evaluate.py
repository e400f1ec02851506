"""From predictions to Table 1: AUCs with intervals, every pair compared, calibration, threshold, subgroups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import expit

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import from_variance, too_few
from cxrlens.evaluate.calibration import Calibration, calibration
from cxrlens.evaluate.cluster_bootstrap import PatientDraws, least_draws, patient_draws
from cxrlens.evaluate.compare import Scored, compare, winner
from cxrlens.evaluate.curves import curves
from cxrlens.evaluate.delong import paired_from_variance
from cxrlens.evaluate.networks import Network, Validation, read_predictions
from cxrlens.evaluate.records import Evaluation, ModelResult, OperatingPoint, SeedAuc, Settings
from cxrlens.evaluate.score import auc_interval, model_delong, rates, seed_aucs
from cxrlens.evaluate.subgroups import groups, subgroups


def evaluate(
    predictions: pd.DataFrame,
    training: pd.DataFrame | None,
    cohort_table: pd.DataFrame,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    model_order: Sequence[str] | None = None,
) -> Evaluation:
    """Judges every model on the validation images.

    A model's AUC is the mean over seeds of the mean over folds (by pairs) of the AUC within a network, ranked by the
    logit, since probabilities saturate. Patients are drawn once for all models, seeds and folds: the intervals are of
    the networks as trained, and what another seed would change is beside them (`auc_seed_sd`).

    Args:
        predictions: of validation images: model, seed, fold, image, patient, label (1, 0, NaN), probability, logit.
        training: the same of the training side, from which thresholds come; None for no thresholds.
        cohort_table: a row an image, with `image` and what is known of sex, age, view and source.
        level: of the intervals.
        draws: of the bootstrap.
        seed: of the bootstrap; the same seed gives the same result.
        model_order: names in the order wanted; by first appearance otherwise.

    Raises:
        UserError: see `read_predictions`; fewer than 2 images of a class; too few draws for the level.
    """
    if not 0 < level < 1:
        raise UserError(f"a confidence level lies between 0 and 1, as 0.95; got {level}")
    if draws < (least := least_draws(level)):
        raise UserError(f"an interval at level {level} needs at least {least} draws; got {draws}")
    data = read_predictions(predictions, training, model_order)
    positive, negative = int(data.labels.sum()), int((~data.labels).sum())
    if min(positive, negative) < 2:
        raise UserError(too_few(positive, negative))
    drawn = patient_draws(data.patients, data.labels, draws, np.random.default_rng(seed))
    of = groups(data.images.tolist(), cohort_table)
    scored: dict[str, Scored] = {}
    models = []
    for name, networks in data.models.items():
        scored[name] = Scored(*auc_interval(networks, data, drawn.weights, level))
        models.append(_model(name, networks, data, drawn, scored[name], of, level))
    p_delong = {(a, b): _p_delong(data, a, b, scored, level) for a, b in combinations(scored, 2)}
    comparisons = compare(scored, p_delong, level)
    best = winner({name: model.auc for name, model in scored.items()}, comparisons, level)
    return Evaluation(tuple(models), comparisons, best, Settings(level, draws, seed, drawn.redrawn, data.unlabelled))


def _model(
    name: str,
    networks: Sequence[Network],
    data: Validation,
    drawn: PatientDraws,
    scored: Scored,
    of: dict[str, np.ndarray],
    level: float,
) -> ModelResult:
    labels = data.labels
    positive, negative = int(labels.sum()), int((~labels).sum())
    variance = model_delong(networks, labels)
    delong = from_variance(scored.auc, variance, positive, negative, level) if np.isfinite(variance) else None
    seeds = sorted({net.seed for net in networks})
    values = seed_aucs(networks, labels, np.ones((1, len(labels))))[:, 0]
    return ModelResult(
        name=name,
        auc=scored.auc,
        auc_low=scored.low,
        auc_high=scored.high,
        delong_low=delong.low if delong else np.nan,
        delong_high=delong.high if delong else np.nan,
        seeds=len(seeds),
        folds=len({net.fold for net in networks}),
        auc_seed_sd=float(values.std(ddof=1)) if len(seeds) > 1 else np.nan,
        seed_aucs=tuple(SeedAuc(number, float(value)) for number, value in zip(seeds, values, strict=True)),
        images=len(labels),
        patients=drawn.patients,
        positive=positive,
        negative=negative,
        calibration=_calibration(networks, labels),
        threshold=_operating_point(networks, data, drawn.weights, level),
        curves=curves(networks, labels, level),
        subgroups=subgroups(networks, data, drawn, of, level),
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
    networks: Sequence[Network], data: Validation, weights: np.ndarray, level: float, rule: str = "youden"
) -> OperatingPoint:
    sensitivity, specificity = rates(networks, data, weights, level)
    value = float(np.mean([expit(net.threshold) for net in networks]))
    reason = "" if np.isfinite(value) else "no training predictions of both classes to choose a threshold on"
    limits = [(r.value, r.low, r.high, r.wilson_low, r.wilson_high) for r in (sensitivity, specificity)]
    return OperatingPoint(value, rule, *limits[0], *limits[1], reason)


def _p_delong(data: Validation, a: str, b: str, scored: dict[str, Scored], level: float) -> float:
    variance = model_delong(data.models[a], data.labels, data.models[b])
    return paired_from_variance(scored[a].auc - scored[b].auc, variance, level).p
