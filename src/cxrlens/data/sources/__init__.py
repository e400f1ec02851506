"""One file = one data set. A source is its options; `cohort(root)` lists its images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from pydantic import Field

from cxrlens.config import Config
from cxrlens.data.cohort import Cohort
from cxrlens.registry import Registry


class Source(Config, ABC):
    """A data set: the fields are what the study file's `[data]` may say (beside `source = NAME`).

    Attributes:
        most_missing: share of the listed images that may be without a readable file before a run refuses to train.
    """

    most_missing: float = Field(default=0.5, ge=0, le=1)

    @property
    def needs_root(self) -> bool:
        """Whether `--data PATH` must be given."""
        return True

    def lungs(self, path: str) -> np.ndarray | None:
        """The lung fields of the image that a cell of `path` names, bool [height, width]; None where unknown."""
        return None

    @abstractmethod
    def cohort(self, root: Path | None) -> Cohort:
        """Lists the images under `root`, in the order of the source's own table.

        Raises:
            UserError: the folder or its table is absent or is not this source's layout; the message says what was
                looked for, with line numbers for faults in a table.
        """


SOURCES: Registry[type[Source]] = Registry("data source", package="cxrlens.data.sources")
