"""The border alone: whether a network separates the classes by it (Maguolo and Nanni 2020)."""

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
    """The AUC on images of which only a frame and the corners are left, without any lung that reaches into them.

    Attributes:
        width: width of the frame, as a fraction of the side.
        corner: width and height of the corners, as fractions of the side.
    """

    width: float = Field(default=0.06, gt=0, lt=0.5)
    corner: tuple[float, float] = (0.3, 0.15)

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """Frame and corners as they are, the rest filled with one grey."""
        size = case.pixels.shape[2]
        removed = ~(border(size, self.width) | corners(size, *self.corner))
        if case.lungs.known.all():  # cut by lungs only where all are known: else the cut would reveal who has any
            removed = removed | case.lungs.masks[rows]
        return filled(case.pixels[torch.from_numpy(rows)], removed, mean_grey(case.pixels))

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        limits = (
            "shows that this network can separate the classes by the border, not that it needs the border when it sees "
            "the whole image; the border also shows shoulders and how the film was cropped"
        )
        return [left_over(self, case, "the border alone", limits)]


RETRAINED_LIMITS = (
    "shows that the classes can be separated by the borders, by signs, cropping or shoulders; not that the network "
    "trained on whole images does so"
)


@PROBES.register("border_only_retrained")
class BorderOnlyRetrained(BorderOnly):
    """The AUC of the model retrained and evaluated on images of which only the border is left."""

    by_choice: ClassVar[bool] = True

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        return [learned_from(self, self, case, "borders alone", RETRAINED_LIMITS, by_lungs=False)]
