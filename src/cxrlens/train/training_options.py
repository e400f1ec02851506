"""How a model is trained: options, learning rate, loss. The defaults are the paper's (Keras' Adam, cross-entropy)."""

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
    """How a model is trained.

    Attributes:
        batch: number of images in a training step.
        epochs: number of epochs.
        steps: number of training steps in an epoch; "pass" makes an epoch one pass over the training images.
        augment: whether `[augment]` is applied to the training images.
        class_weights: whether both classes have the same total weight in the loss, whatever their share of the images.
        learning_rate: learning rate of Adam; its highest value where `schedule` is "one_cycle".
        epsilon: number that Adam adds to its denominator.
        weight_decay: weight decay of AdamW, decoupled from the gradient; 0 makes it plain Adam.
        schedule: course of the learning rate: "constant", or "one_cycle", which rises to `learning_rate` and then falls
            to nearly 0.
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
        """Number of training steps in an epoch.

        Args:
            images: number of training images.
            join_last: whether a last batch of one image joins the batch before it, see `Order`.
        """
        return batches(images, self.batch, join_last) if self.steps == "pass" else self.steps


# The learning rate depends on the step alone, so that a resumed training has the same rates.
WARM_UP = 0.25  # share of the steps in which the rate rises
START, END = 1 / 25, 1e-4  # the first and the last rate, as shares of the peak


def learning_rate(options: TrainingOptions, step: int, total: int) -> float:
    """Learning rate of one training step.

    "one_cycle" rises from 1/25 of the peak along half a cosine and falls to 1/10,000 of it along another half cosine
    (Smith and Topin 2018, arXiv:1708.07120).

    Args:
        options: the schedule and the peak rate.
        step: number of the step, from 0.
        total: number of steps of the whole training.

    >>> [round(learning_rate(TrainingOptions(schedule="one_cycle"), step, 9), 6) for step in (0, 2, 8)]
    [4e-05, 0.001, 0.0]
    """
    peak = options.learning_rate
    if options.schedule == "constant":
        return peak
    warm_up_steps = max(1, round(WARM_UP * (total - 1)))
    if step <= warm_up_steps:
        return peak * _half_cosine(START, 1, step / warm_up_steps)
    return peak * _half_cosine(1, END, (step - warm_up_steps) / max(1, total - 1 - warm_up_steps))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


# The loss of logits, labels and the weights of the labels.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean binary cross-entropy over the known labels; 0 where no label is known.

    Args:
        logits: tensor [b] or [b, findings].
        labels: tensor of the shape of `logits`: 1, 0, or NaN for an unknown label.
        weights: tensor of the shape of `logits`: weight of each label, 0 for an unknown label.
    """
    total = binary_cross_entropy_with_logits(logits, labels.nan_to_num(), weights, reduction="sum")
    return total / (weights > 0).sum().clamp(min=1)


def label_weights(labels: np.ndarray, balanced: bool = False) -> np.ndarray:
    """Weight of each label in the loss: 0 for an unknown label, else 1, or such that both classes have equal weight.

    Args:
        labels: float32 [n] or [n, findings]: 1, 0, or NaN for an unknown label.
        balanced: whether both classes of each finding have the same total weight; the mean weight stays 1.

    >>> label_weights(np.array([1, 0, 0, 0, 0, np.nan], np.float32), balanced=True).tolist()
    [2.5, 0.625, 0.625, 0.625, 0.625, 0.0]
    """
    known = ~np.isnan(labels)
    if not balanced:
        return known.astype(np.float32)
    prevalence = np.nansum(labels, axis=0) / np.maximum(known.sum(axis=0), 1)
    class_share = np.where(labels == 1, prevalence, 1 - prevalence)  # never 0 where the label is known
    return np.where(known, 0.5 / np.where(known, class_share, 1), 0).astype(np.float32)
