"""Everything but the lungs filled with one grey: do the lungs alone still carry the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.ablation import left_over
from cxrlens.audit.base import Finding, refused
from cxrlens.audit.case import ModelCase
from cxrlens.audit.filled import filled, mean_grey
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.audit.probes.lungs_removed import without_lungs

LIMITS = (
    "an AUC above chance says that the lungs alone carry something for this network; one at chance may only say that "
    "it never saw an image so cut, so this is never flagged"
)


@PROBES.register("lungs_only")
class LungsOnly(ModelProbe):
    """The AUC on images of which the lungs alone are left."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """All but the lungs one grey."""
        return filled(case.pixels[torch.from_numpy(rows)], ~case.lungs.masks[rows], mean_grey(case.pixels))

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding: "clear" where the AUC's interval lies above 0.5."""
        if reason := without_lungs(case):
            return [refused(self.name, case.name, "AUC with the lungs alone", reason, LIMITS)]
        found = left_over(self, case, "the lungs alone", LIMITS, case.lungs.rows)
        direction = "above 0.5: the lungs alone tell the network something"
        return [replace(found, bar=None, direction=direction, verdict="clear" if found.low > 0.5 else "undecided")]
