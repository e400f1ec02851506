"""One network's view of a few images: what Figure 1 shows of it."""

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
class Explained:
    """Maps and probabilities of one network.

    Attributes:
        model: its name.
        images: float32 [n, 1, size, size] in [0, 1], as the network was given them.
        probabilities: float [n] in [0, 1].
        attributions: one a method, raw and signed.
        missing: method → why this network has no maps of it.
        failed: of those, methods that failed for no known reason (memory, say), and may be tried again.
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
        """What `load` takes."""
        found = {"pixels": np.rint(self.images[:, 0].numpy() * 255).astype(np.uint8), "probability": self.probabilities}
        for each in self.attributions:
            found[each.method] = each.maps.numpy()
            found[f"{each.method} layer"] = np.array(each.layer or "")
            found[f"{each.method} margin"] = np.array(each.margin)
        for method, why in self.missing.items():
            found[f"{method} missing"] = np.array(why)
        return found

    @classmethod
    def load(cls, model: str, arrays: dict[str, np.ndarray], methods: Sequence[str]) -> Explained:
        """From arrays."""
        images = torch.from_numpy(arrays["pixels"].astype(np.float32) / 255)[:, None]
        size, count = (images.shape[2], images.shape[3]), len(images)
        attributions = []
        missing = {name: str(arrays[f"{name} missing"]) for name in methods if f"{name} missing" in arrays}
        for name in (each for each in methods if each not in missing):
            method, margin = METHODS[name](), arrays[f"{name} margin"]
            attributions.append(
                Attribution(
                    maps=torch.from_numpy(arrays[name]), method=name, layer=str(arrays[f"{name} layer"]) or None,
                    target=(0,) * count, size=size, shown=method.shown, margin=(int(margin[0]), int(margin[1])),
                    warning=method.warning,
                )
            )  # fmt: skip
        return cls(model, images, arrays["probability"], tuple(attributions), missing)


def explained(name: str, model: Classifier, images: Tensor, methods: Sequence[str], device: Device) -> Explained:
    """A network's view of images; a method that this network cannot have is `missing`, and takes no other's maps away.

    Args:
        name: of the model.
        model: of one logit; left as it was found.
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
    return Explained(name, images.cpu(), probabilities(logits), tuple(maps), missing, tuple(failed))
