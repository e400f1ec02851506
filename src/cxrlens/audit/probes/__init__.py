"""One file = one question; the probes that ask it are registered by name, and return findings."""

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
    """A question; the fields are its options, `[audit.options.NAME]` in a study.

    Attributes:
        name: the name in the registry, which sets it.
        by_choice: whether the probe runs only where it is asked for by name, because it trains a network.
    """

    name: ClassVar[str] = ""
    by_choice: ClassVar[bool] = False


class CohortProbe(Probe):
    """A question to the images and their table, before any training."""

    @abstractmethod
    def findings(self, case: CohortCase) -> list[AuditResult]:
        """What it finds; what cannot be measured is a finding too (`refused`)."""


class ModelProbe(Probe):
    """A question to one trained network and its validation images."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor | None:
        """The images at these positions as the probe shows them to the network; None where it alters none."""
        return None

    @abstractmethod
    def findings(self, case: ModelCase) -> list[AuditResult]:
        """What it finds; what cannot be measured is a finding too (`refused`)."""


PROBES: Registry[type[Probe]] = Registry("probe", package="cxrlens.audit.probes")
