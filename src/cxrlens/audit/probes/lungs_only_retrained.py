"""Nothing but the lungs, in training as well: what can be learned from them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from cxrlens.audit.base import Finding
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.audit.probes.lungs_only import LungsOnly
from cxrlens.audit.retrained import learned_from

LIMITS = (
    "shows whether lungs alone can be told apart after this little training, the shape of what was cut out among it; "
    "it says nothing of the network trained on whole images, so this is never flagged"
)


@PROBES.register("lungs_only_retrained")
class LungsOnlyRetrained(ModelProbe):
    """The AUC of this row trained anew, and judged, on images of which the lungs alone are left."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding: "clear" where the AUC's interval lies above 0.5."""
        found = learned_from(self, LungsOnly(), case, "lungs alone", LIMITS, by_lungs=True)
        return [replace(found, bar=None, verdict="clear" if found.low > 0.5 else "undecided")]
