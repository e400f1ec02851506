"""What training lowers: binary cross-entropy over the labels that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

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
