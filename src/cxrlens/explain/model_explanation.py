"""The maps and probabilities of one network for a few images, as Figure 1 shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cxrlens.errors import UserError, reason
from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import Attribution, evaluating, shared_scale
from cxrlens.explain.methods import METHODS
from cxrlens.models.classifier import Classifier
from cxrlens.train.device import Device
from cxrlens.train.predict import predict_logits, probabilities


@dataclass(frozen=True, eq=False)
class ModelExplanation:
    """Maps and probabilities of one network for n images.

    Attributes:
        model: name of the model.
        images: float32 [n, 1, size, size] in [0, 1], the network's input.
        probabilities: float [n] in [0, 1], the network's P of "positive".
        attributions: raw signed maps, one `Attribution` for each method.
        missing: method → reason why this network has no maps by it.
        failed: those of the missing methods that failed for an unforeseen reason, such as memory, and may work later.
    """

    model: str
    images: Tensor
    probabilities: np.ndarray
    attributions: tuple[Attribution, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[str, ...] = ()

    def scale(self, attribution: Attribution) -> float:
        """The evidence that gets the full colour on every image of this network and method."""
        return shared_scale(attribution.enlarged())

    def arrays(self) -> dict[str, np.ndarray]:
        """The record as plain arrays, for `load`."""
        arrays = {
            "pixels": np.rint(self.images[:, 0].numpy() * 255).astype(np.uint8),
            "probability": self.probabilities,
        }
        for attribution in self.attributions:
            arrays[attribution.method] = attribution.maps.numpy()
            arrays[f"{attribution.method} layer"] = np.array(attribution.layer or "")
            arrays[f"{attribution.method} margin"] = np.array(attribution.margin)
        for method, missing_reason in self.missing.items():
            arrays[f"{method} missing"] = np.array(missing_reason)
        return arrays

    @classmethod
    def load(cls, model: str, arrays: dict[str, np.ndarray], methods: Sequence[str]) -> ModelExplanation:
        """The record of a model from the arrays of `arrays`, with the maps of the given methods."""
        images = torch.from_numpy(arrays["pixels"].astype(np.float32) / 255)[:, None]
        size, count = (images.shape[2], images.shape[3]), len(images)
        attributions = []
        missing = {name: str(arrays[f"{name} missing"]) for name in methods if f"{name} missing" in arrays}
        for name in (method for method in methods if method not in missing):
            method, margin = METHODS[name](), arrays[f"{name} margin"]
            attributions.append(
                Attribution(
                    maps=torch.from_numpy(arrays[name]), method=name, layer=str(arrays[f"{name} layer"]) or None,
                    target=(0,) * count, size=size, displayed=method.displayed, margin=(int(margin[0]), int(margin[1])),
                    warning=method.warning,
                )
            )  # fmt: skip
        return cls(model, images, arrays["probability"], tuple(attributions), missing)


def explain_model(
    name: str, model: Classifier, images: Tensor, methods: Sequence[str], device: Device
) -> ModelExplanation:
    """Maps and probabilities of images. A method that does not work for this network is `missing`; the others go on.

    Args:
        name: name of the model.
        model: a network with one logit; it is left unchanged.
        images: float32 [n, 1, size, size] in [0, 1].
        methods: names in `METHODS`.
        device: where the model is.
    """
    with evaluating(model):
        logits = predict_logits(model, images, device)
    maps, missing, failed = [], {}, []
    for method in methods:
        try:
            maps.append(attribute(model, images, method))
        except Exception as error:
            missing[method] = reason(error)
            failed += [] if isinstance(error, UserError) else [method]
    return ModelExplanation(name, images.cpu(), probabilities(logits), tuple(maps), missing, tuple(failed))
