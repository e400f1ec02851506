"""How a row of the ladder is trained; the defaults are the paper's (Keras' Adam, binary cross-entropy)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrlens.config import Config
from cxrlens.train.order import batches


class TrainingOptions(Config):
    """The training half of a study's row.

    Attributes:
        batch: images a step.
        epochs: passes, or rounds of `steps`.
        steps: steps an epoch; "pass" is one pass over the training images.
        augment: whether the study's augmentation is applied.
        class_weights: whether each class weighs alike in the loss, whatever its share.
        learning_rate: Adam's.
        epsilon: Adam's.
        weight_decay: decoupled from the gradient, as AdamW's; 0 is Adam.
        schedule: of the learning rate: "constant", or "one_cycle", which rises to it and falls to nearly 0.
    """

    batch: int = Field(default=16, ge=1)
    epochs: int = Field(default=12, ge=1)
    steps: int | Literal["pass"] = "pass"
    augment: bool = True
    class_weights: bool = False
    learning_rate: float = Field(default=1e-3, gt=0)
    epsilon: float = Field(default=1e-7, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "one_cycle"] = "constant"

    def steps_an_epoch(self, images: int, join_last: bool = False) -> int:
        """Steps an epoch with this many training images; `join_last` as in `Order`."""
        return batches(images, self.batch, join_last) if self.steps == "pass" else self.steps


# The learning rate of a step: a function of the step alone, so that a run resumes exactly.

WARM = 0.25  # share of the steps in which the rate rises
FROM, TO = 1 / 25, 1e-4  # the rate's shares of its peak, at the start and at the end


def learning_rate(options: TrainingOptions, step: int, total: int) -> float:
    """The rate of step number `step` (from 0) of `total`.

    "one_cycle" rises from a 25th along half a cosine, and falls likewise to a 10,000th (Smith and Topin 2018,
    arXiv:1708.07120).

    >>> [round(learning_rate(TrainingOptions(schedule="one_cycle"), step, 9), 6) for step in (0, 2, 8)]
    [4e-05, 0.001, 0.0]
    """
    peak = options.learning_rate
    if options.schedule == "constant":
        return peak
    top = max(1, round(WARM * (total - 1)))
    if step <= top:
        return peak * _half_cosine(FROM, 1, step / top)
    return peak * _half_cosine(1, TO, (step - top) / max(1, total - 1 - top))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


# What training lowers: binary cross-entropy over the labels that are known.

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean binary cross-entropy of the known labels; 0 where none is known.

    Args:
        logits: [b] or [b, findings].
        labels: the same shape: 1, 0, or NaN where unknown.
        weights: the same shape, 0 where a label is unknown.
    """
    total = binary_cross_entropy_with_logits(logits, labels.nan_to_num(), weights, reduction="sum")
    return total / (weights > 0).sum().clamp(min=1)


def label_weights(labels: np.ndarray, balanced: bool = False) -> np.ndarray:
    """The weight of each label in the loss: 0 where it is unknown, else 1, or such that both classes weigh alike.

    Args:
        labels: float32 [n] or [n, findings]: 1, 0, or NaN where unknown.
        balanced: whether the classes of each finding weigh alike, whatever their share; the mean weight stays 1.

    >>> label_weights(np.array([1, 0, 0, 0, 0, np.nan], np.float32), balanced=True).tolist()
    [2.5, 0.625, 0.625, 0.625, 0.625, 0.0]
    """
    known = ~np.isnan(labels)
    if not balanced:
        return known.astype(np.float32)
    positive = np.nansum(labels, axis=0) / np.maximum(known.sum(axis=0), 1)
    share = np.where(labels == 1, positive, 1 - positive)  # of the label's class; never 0 where the label is known
    return np.where(known, 0.5 / np.where(known, share, 1), 0).astype(np.float32)
