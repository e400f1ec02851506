"""The lungs alone: whether they still separate the classes when everything else is filled with one grey."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.ablation import learned_from, left_over
from cxrlens.audit.base import AuditResult, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.masking import filled, mean_grey
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.audit.probes.lungs_removed import no_lungs_reason

LIMITS = (
    "an AUC above chance shows that this network can separate the classes by the lungs alone; an AUC at chance may "
    "only mean that it has never seen such cut-out images, so this test never flags a model"
)


@PROBES.register("lungs_only")
class LungsOnly(ModelProbe):
    """The AUC on images of which only the lungs are left."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """The lungs as they are, the rest filled with one grey."""
        return filled(case.pixels[torch.from_numpy(rows)], ~case.lungs.masks[rows], mean_grey(case.pixels))

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result: "clear" where the AUC's interval lies above 0.5."""
        if reason := no_lungs_reason(case):
            return [refused(self.name, case.name, "AUC with the lungs alone", reason, LIMITS)]
        result = left_over(self, case, "the lungs alone", LIMITS, case.lungs.rows)
        direction = "above 0.5: the network separates the classes by the lungs alone"
        return [replace(result, bar=None, direction=direction, verdict="clear" if result.low > 0.5 else "undecided")]


RETRAINED_LIMITS = (
    "shows whether the classes can be learned from the lungs alone, which includes the shape of what was cut out; it "
    "says nothing about the network trained on whole images, so this test never flags a model"
)


@PROBES.register("lungs_only_retrained")
class LungsOnlyRetrained(ModelProbe):
    """The AUC of the model retrained and evaluated on images of which only the lungs are left."""

    by_choice: ClassVar[bool] = True

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result: "clear" where the AUC's interval lies above 0.5."""
        result = learned_from(self, LungsOnly(), case, "lungs alone", RETRAINED_LIMITS, by_lungs=True)
        return [replace(result, bar=None, verdict="clear" if result.low > 0.5 else "undecided")]
