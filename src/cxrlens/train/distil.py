"""A teacher's features as further labels, for a network that starts from nothing (Romero et al. 2015, FitNets)."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.predict import mean_features, predict_batches
from cxrlens.train.training_options import Loss, cross_entropy


def pooled_features(
    model: Classifier,
    data: LabelledImages,
    device: Device,
    progress: Progress = SILENT,
    mirrored: bool = False,
    size: int | None = None,
) -> np.ndarray:
    """Mean of the last feature map of each image, float32 [n, channels].

    Args:
        model: left as it was.
        data: the images.
        device: where.
        progress: where the work is shown.
        mirrored: whether each is the mean over the image and its mirror image.
        size: side that the images are brought to first, for a network trained at another one.
    """

    def features(images: Tensor) -> Tensor:
        if size is not None and size != images.shape[-1]:
            images = interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
        pooled = mean_features(model, images)
        return (pooled + mean_features(model, images.flip(3))) / 2 if mirrored else pooled

    training = model.training
    device.place(model).eval()
    with progress.task("features", len(data.images)) as task:
        pooled = predict_batches(features, data.pixels, len(data.images), device, batch=32, update=task.update)
    model.train(training)
    return pooled.numpy()


def standardised(features: np.ndarray) -> np.ndarray:
    """Features with mean 0 and standard deviation 1; those that hardly vary are left out. float32 [n, kept]."""
    spread = features.std(axis=0)
    kept = spread > 1e-3 * spread.max()
    return ((features[:, kept] - features[:, kept].mean(axis=0)) / spread[kept]).astype(np.float32)


def distilling(findings: int, weight: float) -> Loss:
    """Cross-entropy of the first `findings` outputs plus `weight` times the mean squared error of the others."""

    def loss(outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        told = cross_entropy(outputs[:, :findings], labels[:, :findings], weights[:, :findings])
        return told + weight * (outputs[:, findings:] - labels[:, findings:]).square().mean()

    return loss
