"""The probes of the audit, one file for each question; a probe is registered by name and returns audit results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from torch import Tensor

from cxrlens.audit.base import AuditResult
from cxrlens.audit.case import CohortCase, ModelCase
from cxrlens.config import Config
from cxrlens.registry import Registry


class Probe(Config, ABC):
    """A question of the audit; the fields are its options, `[audit.options.NAME]` in a study.

    Attributes:
        name: name in the registry, which sets it.
        by_choice: whether the probe runs only where it is requested by name, because it trains a network.
    """

    name: ClassVar[str] = ""
    by_choice: ClassVar[bool] = False


class CohortProbe(Probe):
    """A question about the images and their table, before any training."""

    @abstractmethod
    def results(self, case: CohortCase) -> list[AuditResult]:
        """The results of the probe; what cannot be measured is a result too (`refused`)."""


class ModelProbe(Probe):
    """A question about one trained network, put to it with its validation images."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor | None:
        """The images at these positions as the probe shows them to the network; None where it alters no image."""
        return None

    @abstractmethod
    def results(self, case: ModelCase) -> list[AuditResult]:
        """The results of the probe; what cannot be measured is a result too (`refused`)."""


PROBES: Registry[type[Probe]] = Registry("probe", package="cxrlens.audit.probes")
