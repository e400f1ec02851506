"""Everything but the lungs filled with one grey: do the lungs alone still carry the answer."""

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

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding: "clear" where the AUC's interval lies above 0.5."""
        if reason := without_lungs(case):
            return [refused(self.name, case.name, "AUC with the lungs alone", reason, LIMITS)]
        found = left_over(self, case, "the lungs alone", LIMITS, case.lungs.rows)
        direction = "above 0.5: the lungs alone tell the network something"
        return [replace(found, bar=None, direction=direction, verdict="clear" if found.low > 0.5 else "undecided")]


# Nothing but the lungs, in training as well: what can be learned from them.

RETRAINED_LIMITS = (
    "shows whether lungs alone can be told apart after this little training, the shape of what was cut out among it; "
    "it says nothing of the network trained on whole images, so this is never flagged"
)


@PROBES.register("lungs_only_retrained")
class LungsOnlyRetrained(ModelProbe):
    """The AUC of this row trained anew, and judged, on images of which the lungs alone are left."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding: "clear" where the AUC's interval lies above 0.5."""
        found = learned_from(self, LungsOnly(), case, "lungs alone", RETRAINED_LIMITS, by_lungs=True)
        return [replace(found, bar=None, verdict="clear" if found.low > 0.5 else "undecided")]
