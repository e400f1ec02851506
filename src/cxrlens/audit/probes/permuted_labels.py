"""Labels shuffled among patients: an AUC above 0.5 then shows a leak between training and validation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import stats

from cxrlens.audit.base import AuditResult, Bar, auc_estimate, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.evaluate.auc import auc, ordered_bound
from cxrlens.evaluate.probe import fitted_probe

LEAK = Bar(0.5, 0.05, "shuffled labels")
LIMITS = (
    "measures a linear head on the network's features, fitted to the training set and evaluated on the validation set; "
    "shows that patients can be recognised across the sets, not how much that inflates the network's AUC"
)


@PROBES.register("permuted_labels")
class PermutedLabels(ModelProbe):
    """The AUC of a linear head fitted to shuffled labels, one random label for each patient.

    It is about 0.5 where the training and validation sets share no patient; above that, patients are recognised.

    Attributes:
        times: number of shuffles of the labels.
    """

    times: int = Field(default=30, ge=5)

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        statistic, training = "AUC of a linear head trained on shuffled labels", case.training
        train_features, features = case.training_features, case.own_features
        names = np.unique(np.concatenate([training.patients, case.patients]).astype(str))
        train_patients = np.searchsorted(names, training.patients.astype(str))
        patients = np.searchsorted(names, case.patients.astype(str))
        prevalence, rng = float(training.labels.mean()), np.random.default_rng(case.intervals.seed)
        aucs: list[float] = []
        for _ in range(20 * self.times):
            label = rng.random(len(names)) < prevalence
            if min(_classes(label[train_patients]), _classes(label[patients])) < 2:
                continue
            head = fitted_probe(train_features, label[train_patients].astype(int))
            aucs.append(auc(label[patients].astype(float), head.decision_function(features)))
            if len(aucs) == self.times:
                break
        if len(aucs) < self.times:
            reason = "the shuffled labels leave the training or the validation set with one class"
            return [refused(self.name, case.name, statistic, reason, LIMITS)]
        value, low, high, p = mean_over_shuffles(np.array(aucs), case.intervals.level)
        return [AuditResult(
            self.name, case.name, statistic, value, low, high, "undecided", LIMITS,
            "0.5: nothing can be learned from random labels; above 0.5: patients of the training set are recognised",
            f"With labels shuffled among patients, a linear head reaches a mean AUC of {value:.3f} over "
            f"{self.times} shuffles [{low:.3f}, {high:.3f}].",
            p=p, bar=LEAK,
            evidence={"times": self.times, "patients_on_both_sides": len(np.intersect1d(train_patients, patients))},
        )]  # fmt: skip


def mean_over_shuffles(aucs: np.ndarray, level: float = 0.95) -> tuple[float, float, float, float]:
    """The mean AUC over shuffles, its interval within [0, 1], and the p-value of 0.5.

    The shuffles are independent draws for fixed images, so the interval is Student's over the shuffles. It does not
    describe other patients. Where every shuffle gives the same 0 or 1, it is an exact bound with each as one trial.

    Args:
        aucs: AUC of each shuffle, [n].
        level: confidence level of the interval, between 0 and 1.

    >>> [round(number, 3) for number in mean_over_shuffles(np.ones(30))]
    [1.0, 0.884, 1.0, 0.0]
    """
    value, freedom = float(aucs.mean()), len(aucs) - 1
    if value in (0, 1):
        return value, *ordered_bound(value, len(aucs), level), 2 * 0.5 ** len(aucs)
    error = float(aucs.std(ddof=1)) / len(aucs) ** 0.5
    if error == 0:  # all features are equal, so that every shuffle gives 0.5
        return value, value, value, float(value == 0.5)
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(value - 0.5) / error, freedom))
    return value, max(value - reach, 0.0), min(value + reach, 1.0), p


def _classes(labels: np.ndarray) -> int:
    return len(np.unique(labels))


STATISTIC = "AUC after training on shuffled labels"
NULL = Bar(0.5, 0.1, "shuffled labels, trained anew")
RETRAINED_LIMITS = "one random draw of labels: chance alone can move the AUC by the width of its interval"


@PROBES.register("permuted_labels_retrained")
class PermutedLabelsRetrained(ModelProbe):
    """The AUC of the model retrained and evaluated on labels shuffled among patients.

    An AUC that differs from 0.5 shows a fault of the whole pipeline.
    """

    by_choice: ClassVar[bool] = True

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        training, rng = case.training, np.random.default_rng(case.intervals.seed)
        if case.retrain is None:
            return [refused(self.name, case.name, STATISTIC, "retraining was not requested", RETRAINED_LIMITS)]
        names = np.unique(np.concatenate([training.patients, case.patients]).astype(str))
        shuffled = rng.permutation(np.arange(len(names)) < round(training.labels.mean() * len(names)))
        label_of = dict(zip(names, shuffled, strict=True))
        train_labels = np.array([label_of[str(patient)] for patient in training.patients])
        labels = np.array([label_of[str(patient)] for patient in case.patients])
        if min(_classes(train_labels), _classes(labels)) < 2:
            reason = "the shuffled labels leave the training or the validation set with one class"
            return [refused(self.name, case.name, STATISTIC, reason, RETRAINED_LIMITS)]
        logits = case.retrain(training.pixels, train_labels, case.pixels)
        estimate = auc_estimate(logits, labels, case.patients, case.intervals)
        return [AuditResult(
            self.name, case.name, STATISTIC, estimate.value, estimate.low, estimate.high, "undecided", RETRAINED_LIMITS,
            "0.5: the pipeline learns nothing from random labels",
            f"Retrained on labels shuffled among patients, the model reaches AUC {estimate.value:.3f} "
            f"{ends(estimate)}.",
            p=estimate.p, reason=estimate.reason, bar=NULL,
            evidence={"images": len(labels), "positive": int(labels.sum())},
        )]  # fmt: skip
