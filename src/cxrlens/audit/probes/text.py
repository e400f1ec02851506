"""Letters and signs filled in from their surroundings: how much AUC is lost (DeGrave et al. 2021)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cxrlens.audit.ablation import ablated
from cxrlens.audit.base import AuditResult
from cxrlens.audit.case import ModelCase
from cxrlens.audit.masking import imputed, letters
from cxrlens.audit.probes import PROBES, ModelProbe


@PROBES.register("text")
class Text(ModelProbe):
    """The AUC that is lost when everything that looks like letters is filled in, anywhere in the image."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """The images with their letters filled in; an image without letters stays as it is."""
        pixels = case.pixels[torch.from_numpy(rows)]
        return imputed(pixels, letters(pixels[:, 0].numpy()))

    def results(self, case: ModelCase) -> list[AuditResult]:
        """One result."""
        limits = (
            "shows reliance on what looks like letters or signs; faint letters and vertical words are not detected, "
            "and electrodes or the edge of a film may be mistaken for letters"
        )
        return [ablated(self, case, "letters and signs", limits)]
