"""Nothing but the border left: does the network still tell the classes apart (Maguolo and Nanni 2020)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cxrlens.audit.ablation import learned_from, left_over
from cxrlens.audit.base import AuditResult
from cxrlens.audit.case import ModelCase
from cxrlens.audit.masking import border, corners, filled, mean_grey
from cxrlens.audit.probes import PROBES, ModelProbe


@PROBES.register("border_only")
class BorderOnly(ModelProbe):
    """The AUC on images of which a frame and the corners alone are left, without what of the lungs reaches into them.

    Attributes:
        width: of the frame, as a share of the side.
        corner: width and height of the corners, likewise.
    """

    width: float = Field(default=0.06, gt=0, lt=0.5)
    corner: tuple[float, float] = (0.3, 0.15)

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """Frame and corners, the rest one grey."""
        size = case.pixels.shape[2]
        removed = ~(border(size, self.width) | corners(size, *self.corner))
        if case.lungs.known.all():  # by the image's own lungs where all are known: else the cut would tell who has any
            removed = removed | case.lungs.masks[rows]
        return filled(case.pixels[torch.from_numpy(rows)], removed, mean_grey(case.pixels))

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        limits = (
            "shows that the border tells the classes apart for this network, not that it needs the border when it sees "
            "the whole image; shoulders and the way a film is cut are in it too"
        )
        return [left_over(self, case, "border alone", limits)]


# Nothing but the border, in training as well: what can be learned from it (Maguolo and Nanni 2020).

LIMITS = (
    "shows that borders can be told apart, by signs, by the way a film is cut or by shoulders; not that the network "
    "trained on whole images does so"
)


@PROBES.register("border_only_retrained")
class BorderOnlyRetrained(BorderOnly):
    """The AUC of this row trained anew, and judged, on images of which the border alone is left."""

    by_choice: ClassVar[bool] = True

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        return [learned_from(self, self, case, "borders alone", LIMITS, by_lungs=False)]
