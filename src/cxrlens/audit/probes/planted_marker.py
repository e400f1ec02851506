"""A control of the audit: a marker planted on one class must be detected, a marker on both classes must not."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cxrlens.audit.base import AuditResult, Estimate, Verdict, ends, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.masking import corners, imputed
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.data.phantom.markers import plant
from cxrlens.evaluate.probe import fitted_probe

LIMITS = (
    "measures a linear head on the network's features, fitted to images with the marker: it shows whether the audit "
    "can detect such a marker in these images, and nothing about what the network itself uses"
)


@PROBES.register("planted_marker")
class PlantedMarker(ModelProbe):
    """The AUC that a linear head fitted to images with a planted corner marker loses when the corners are filled in.

    Attributes:
        share: fraction of images that get the marker. It is taken of the positive images for the test with the marker
            in one class, and of all images for the test with the marker in both classes.
    """

    share: float = Field(default=0.7, gt=0, le=1)

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result: "clear" where the marker on one class is detected and the marker on both classes is not."""
        statistic = "AUC lost when corners with a planted marker are filled in"
        train_labels = case.training.labels
        reason = case.no_auc_reason(np.arange(len(case.labels)))
        if not reason and (train_labels.all() or not train_labels.any()):
            reason = "all training images are of one class"
        if reason:
            return [refused(self.name, case.name, statistic, reason, LIMITS)]
        on_positive, on_all = self._loss(case, self.share, 0.0), self._loss(case, self.share, self.share)
        verdict: Verdict = "undecided"
        if on_positive.reason:
            reason = on_positive.reason
        elif on_all.low > 0 and self._loss(case, 0.0, 0.0).low > 0:
            reason = (
                "the corners of these images separate the classes without any planted marker, so this test cannot work"
            )
        elif on_all.low > 0:
            verdict, reason = "flag", "a marker planted equally often in both classes raised a false alarm"
        elif on_positive.low > 0:
            verdict = "clear"
        else:
            reason = "a marker planted in one class was not detected, so for these images a missing flag says little"
        return [AuditResult(
            self.name, case.name, statistic, on_positive.value, on_positive.low, on_positive.high, verdict, LIMITS,
            "the audit can detect such a marker if the loss is above 0 with the marker in one class, and not above 0 "
            "with the "
            "marker in both",
            f"With the marker on {self.share:.0%} of the positive images alone, the loss of AUC is "
            f"{on_positive.value:+.3f} {ends(on_positive)}; with the marker on {self.share:.0%} of all images, it is "
            f"{on_all.value:+.3f} {ends(on_all)}.",
            reason=reason,
            evidence={"both": on_all.value, "both_low": on_all.low, "both_high": on_all.high, "share": self.share},
        )]  # fmt: skip

    def _loss(self, case: ModelCase, on_positive: float, on_negative: float) -> Estimate:
        rng = np.random.default_rng(case.intervals.seed)
        train_images = self._planted(
            case.training.pixels, np.where(case.training.labels, on_positive, on_negative), rng
        )
        head = fitted_probe(case.features(train_images), case.training.labels.astype(int))
        images = self._planted(case.pixels, np.where(case.labels, on_positive, on_negative), rng)
        mask = corners(images.shape[2], 0.3, 0.15)
        without_corners = imputed(images, mask)
        before, after = (head.decision_function(case.features(pixels)) for pixels in (images, without_corners))
        return case.auc_change(before, after)

    @staticmethod
    def _planted(pixels: Tensor, probabilities: np.ndarray, rng: np.random.Generator) -> Tensor:
        images = pixels[:, 0].numpy().copy()
        for row in np.flatnonzero(rng.random(len(images)) < probabilities):
            plant(images[row], rng)
        return torch.from_numpy(images)[:, None]
