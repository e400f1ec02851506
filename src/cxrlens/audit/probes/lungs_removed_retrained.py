"""Lungs removed before training as well: what can be learned where there are no lungs (Maguolo and Nanni 2020)."""

from __future__ import annotations

from typing import ClassVar

from cxrlens.audit.base import Finding
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.audit.probes.lungs_removed import LungsRemoved
from cxrlens.audit.retrained import learned_from

LIMITS = (
    "shows that images without lungs can be told apart, by anything in them, the shape of the hole among it; not that "
    "the network trained on whole images does so"
)


@PROBES.register("lungs_removed_retrained")
class LungsRemovedRetrained(ModelProbe):
    """The AUC of this row trained anew, and judged, on images whose lungs are filled with one grey."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding."""
        return [learned_from(self, LungsRemoved(), case, "images without lungs", LIMITS, by_lungs=True)]
