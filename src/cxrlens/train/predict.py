"""Batched inference: how images pass through a network wherever no gradient is wanted.

Every probability, logit and feature of cxrlens comes from `predict_batches`, so that one image has one probability in
`predictions.csv`, in Figure 1 and in the audit, also in the mixed precision of a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device

BATCH = 16


def predict_batches(
    forward: Callable[[Tensor], Tensor],
    load: Callable[[range], Tensor],
    count: int,
    device: Device,
    *,
    batch: int = BATCH,
    update: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """The outputs of a network for all images, computed batch by batch without gradients.

    Args:
        forward: the computation, from a batch of inputs on the device to outputs whose first dimension is the batch. It
            runs in the precision of the device (bfloat16 under autocast on a GPU); the network is in evaluation mode.
        load: the inputs [b, ...] at a range of positions.
        count: number of images.
        device: where the network is.
        batch: number of images that pass at once.
        update: receives the number of images done, after each batch.

    Returns:
        float32 [count, ...] on the CPU; [0] where there is no image.
    """
    outputs = []
    with torch.inference_mode():
        for start in range(0, count, batch):
            rows = range(start, min(start + batch, count))
            with device.autocast():
                output = forward(device.put(load(rows)))
            outputs.append(output.float().cpu())
            update(rows.stop)
    return torch.cat(outputs) if outputs else torch.zeros(0)


def predict_logits(
    model: Classifier, images: Tensor, device: Device, update: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Logits float64 [n] of images [n, 1, size, size] in [0, 1], by a network in evaluation mode."""
    logits = predict_batches(model, lambda rows: images[rows.start : rows.stop], len(images), device, update=update)
    return logits.numpy().astype(np.float64)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The probabilities of logits (the logistic function), float64."""
    with np.errstate(over="ignore"):  # of a logit below -709: the probability is 0
        return 1 / (1 + np.exp(-logits.astype(np.float64)))


def mean_features(model: Classifier, images: Tensor) -> Tensor:
    """The backbone's map [b, c, h', w'] averaged over its places: [b, c], in float32 whatever the map's precision."""
    return model.features(images).float().mean((2, 3))


def as_tensor(squares: np.ndarray) -> Tensor:
    """Pixels uint8 [n, size, size] as float32 [n, 1, size, size] in [0, 1]."""
    return torch.from_numpy(squares.astype(np.float32) / 255)[:, None]
