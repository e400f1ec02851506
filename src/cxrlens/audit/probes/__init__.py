"""One file = one probe; the file's name is the probe's. A probe asks one question and returns findings."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor

from cxrlens.audit.base import Finding
from cxrlens.audit.case import CohortCase, ModelCase
from cxrlens.config import Config
from cxrlens.registry import Registry


class Probe(Config, ABC):
    """A question; the fields are its options, `[audit.options.NAME]` in a study."""

    @property
    def name(self) -> str:
        """The file's name, which is the registry's."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def by_choice(self) -> bool:
        """Whether it runs only where it is asked for by name, being slow."""
        return False


class CohortProbe(Probe):
    """A question to the images and their table, before any training."""

    @abstractmethod
    def findings(self, case: CohortCase) -> list[Finding]:
        """What it finds; what cannot be measured is a finding too (`refused`)."""


class ModelProbe(Probe):
    """A question to one trained network and its validation images."""

    def altered(self, case: ModelCase, rows: np.ndarray) -> Tensor | None:
        """The images at these positions as the probe shows them to the network; None where it alters none."""
        return None

    @abstractmethod
    def findings(self, case: ModelCase) -> list[Finding]:
        """What it finds; what cannot be measured is a finding too (`refused`)."""


PROBES: Registry[type[Probe]] = Registry("probe", package="cxrlens.audit.probes")
