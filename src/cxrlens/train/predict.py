"""Logits of images as they are, without augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cxrlens.data.augment import Parameters
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages, bank_fits, feature_maps


def as_tensor(squares: np.ndarray) -> Tensor:
    """uint8 [n, size, size] as float32 [n, 1, size, size] in [0, 1]."""
    return torch.from_numpy(squares.astype(np.float32) / 255)[:, None]


class FixedImages:
    """The same images looked at again and again: through a frozen backbone they go once, if its maps fit.

    Attributes:
        data: the images, in the order of the logits.
    """

    def __init__(self, model: Classifier, data: LabelledImages, device: Device) -> None:
        self.model, self.data, self.device = model, data, device
        rows = range(len(data.images))
        banked = model.backbone_is_frozen and bank_fits(model, data, 1, device)
        self._features = feature_maps(model, data, rows, Parameters(), device) if banked and data.images else None

    def logits(self) -> np.ndarray:
        """Logits float32 [n], the model in evaluation mode and left in the mode it was in."""
        training = self.model.training
        self.model.eval()
        found = []
        with torch.inference_mode():
            for start in range(0, len(self.data.images), 16):
                rows = range(start, min(start + 16, len(self.data.images)))
                with self.device.autocast():
                    if self._features is None:
                        logits = self.model(self.device.put(self.data.pixels(rows)))
                    else:
                        logits = self.model.logits(self.device.put(self._features[rows.start : rows.stop]))
                found.append(logits.float().cpu().numpy())
        self.model.train(training)
        return np.concatenate(found) if found else np.zeros(0, np.float32)
