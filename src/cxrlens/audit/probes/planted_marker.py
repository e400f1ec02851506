"""A control of the audit itself, on these images: a corner marker planted on one class must show, on both must not."""

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
    "of a linear head on the network's features, which was fitted to images with the marker: says whether the audit "
    "would have seen such a marker here, nothing of what the network itself uses"
)


@PROBES.register("planted_marker")
class PlantedMarker(ModelProbe):
    """Plants a marker, fits a linear head, fills the corners, and looks whether the loss of AUC tells.

    Attributes:
        share: of the images that carry the marker: of the positive ones where it is planted on one class, of all where
            it is planted on both alike.
    """

    share: float = Field(default=0.7, gt=0, le=1)

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding: "clear" where the marker on one class shows and the marker on both does not."""
        statistic = "AUC lost when corners with a planted marker are filled in"
        learned = case.training.labels
        reason = case.no_auc_reason(np.arange(len(case.labels)))
        if not reason and (learned.all() or not learned.any()):
            reason = "the training images are of one class"
        if reason:
            return [refused(self.name, case.name, statistic, reason, LIMITS)]
        one, both = self._loss(case, self.share, 0.0), self._loss(case, self.share, self.share)
        verdict: Verdict = "undecided"
        if one.reason:
            reason = one.reason
        elif both.low > 0 and self._loss(case, 0.0, 0.0).low > 0:
            reason = (
                "these images' corners tell the classes apart without any marker, so a planted one can show nothing"
            )
        elif both.low > 0:
            verdict, reason = "flag", "a marker on both classes alike raised an alarm"
        elif one.low > 0:
            verdict = "clear"
        else:
            reason = "the marker on one class did not show: the other findings' silence means little here"
        return [AuditResult(
            self.name, case.name, statistic, one.value, one.low, one.high, verdict, LIMITS,
            "the first number must lie above 0 and the second must not: then the audit sees such a marker here",
            f"Planted on {self.share:.0%} of the positive images alone, the marker's loss is {one.value:+.3f} "
            f"{ends(one)}; on {self.share:.0%} of all, {both.value:+.3f} "
            f"{ends(both)}.",
            reason=reason,
            evidence={"both": both.value, "both_low": both.low, "both_high": both.high, "share": self.share},
        )]  # fmt: skip

    def _loss(self, case: ModelCase, on_positive: float, on_negative: float) -> Estimate:
        rng = np.random.default_rng(case.judging.seed)
        fitted = self._planted(case.training.pixels, np.where(case.training.labels, on_positive, on_negative), rng)
        head = fitted_probe(case.features(fitted), case.training.labels.astype(int))
        judged = self._planted(case.pixels, np.where(case.labels, on_positive, on_negative), rng)
        mask = corners(judged.shape[2], 0.3, 0.15)
        bare = imputed(judged, mask)
        before, after = (head.decision_function(case.features(pixels)) for pixels in (judged, bare))
        return case.auc_change(before, after)

    @staticmethod
    def _planted(pixels: Tensor, chances: np.ndarray, rng: np.random.Generator) -> Tensor:
        found = pixels[:, 0].numpy().copy()
        for row in np.flatnonzero(rng.random(len(found)) < chances):
            plant(found[row], rng)
        return torch.from_numpy(found)[:, None]
