"""Letters and signs filled from what is around them: how much of the AUC went with them (DeGrave et al. 2021)."""

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
    """The AUC that filling all that looks like letters takes away, wherever it is in the image."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor:
        """Without what looks like letters; an image that bears none stays as it is."""
        some = case.pixels[torch.from_numpy(rows)]
        return imputed(some, letters(some[:, 0].numpy()))

    def findings(self, case: ModelCase) -> list[AuditResult]:
        """One finding."""
        limits = (
            "shows reliance on what looks like letters or signs; faint ones, and words that run upwards, are not "
            "found, and electrodes or the edge of a film may be taken for some"
        )
        return [ablated(self, case, "letters and signs", limits)]
