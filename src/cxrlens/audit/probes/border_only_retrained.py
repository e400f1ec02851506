"""Nothing but the border, in training as well: what can be learned from it (Maguolo and Nanni 2020)."""

from __future__ import annotations

from typing import ClassVar

from cxrlens.audit.base import Finding
from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes import PROBES
from cxrlens.audit.probes.border_only import BorderOnly
from cxrlens.audit.retrained import learned_from

LIMITS = (
    "shows that borders can be told apart, by signs, by the way a film is cut or by shoulders; not that the network "
    "trained on whole images does so"
)


@PROBES.register("border_only_retrained")
class BorderOnlyRetrained(BorderOnly):
    """The AUC of this row trained anew, and judged, on images of which the border alone is left."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[Finding]:
        """One finding."""
        return [learned_from(self, self, case, "borders alone", LIMITS, by_lungs=False)]
