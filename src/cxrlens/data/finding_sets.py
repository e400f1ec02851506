"""A labelled set for pretraining: a source, and which of its columns or file names say what about which finding."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from pydantic import Field, SerializeAsAny, field_validator, model_validator

from cxrlens.config import Config, parse
from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import Cohort
from cxrlens.data.sources import SOURCES, Source
from cxrlens.errors import UserError, near_miss


class FindingSet(Config):
    r"""One `[[data]]` of a pretraining: what it does not know is the source's own option.

    Attributes:
        name: short; images are called `name/image` where several sets are joined.
        folder: of the set, below the data folder.
        source: the source with its options.
        findings: finding → the cohort's column that says 1 or 0 of it, empty where unknown; "label" is the source's own
            label. A list stands for columns of the same names.
        patterns: finding → regular expression: 1 where the image's name has it, 0 elsewhere, such as `_bacteria_`.
        probe_only: nothing is learned from the set: what the features that others taught are worth there is asked of
            it, by linear probes.
    """

    name: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    folder: str = "."
    source: SerializeAsAny[Source]
    findings: dict[str, str] = Field(default_factory=dict)
    patterns: dict[str, str] = Field(default_factory=dict)
    probe_only: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every finding that the set knows."""
        return (*self.findings, *self.patterns)

    @classmethod
    def of(cls, raw: Mapping[str, Any], where: str) -> FindingSet:
        """A set from its table; keys that are not a set's are the source's.

        Raises:
            UserError: an unknown source or key.
        """
        own = {key: value for key, value in raw.items() if key in cls.model_fields and key != "source"}
        kind = SOURCES[str(raw.get("source", ""))]
        rest = {key: value for key, value in raw.items() if key not in cls.model_fields}
        return parse(cls, {**own, "source": parse(kind, rest, where)}, where)

    @field_validator("findings", mode="before", json_schema_input_type=dict[str, str] | tuple[str, ...])
    @classmethod
    def _same_names(cls, given: object) -> object:
        names = isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
        return {name: name for name in given} if names else given

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: dict[str, str]) -> dict[str, str]:
        for name, pattern in patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name}: not a regular expression: {error}") from error
        return patterns

    @model_validator(mode="after")
    def _something_to_learn(self) -> FindingSet:
        if not self.findings and not self.patterns:
            raise ValueError("needs findings (columns) or patterns (of file names): there is nothing to learn from it")
        if both := self.findings.keys() & self.patterns.keys():
            raise ValueError(f"{', '.join(sorted(both))}: under both findings and patterns; keep one")
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """The set's images.

        Raises:
            UserError: see the source's own `cohort`.
        """
        if self.source.needs_data_dir and data_dir is None:
            raise UserError(f"the set '{self.name}' is in a folder of yours: give the one above it with --data PATH")
        return self.source.cohort(data_dir / self.folder if data_dir is not None else None)

    def labels(self, cohort: Cohort) -> pd.DataFrame:
        """Labels 1, 0 or NaN (unknown), a row an image in the cohort's order and a column a finding.

        Raises:
            UserError: a column that is not there, or that holds something else.
        """
        table, found = cohort.table, {}
        for finding, column in self.findings.items():
            if column not in table:
                raise UserError(f"set '{self.name}': {near_miss('column', column, table.columns)}")
            values = pd.to_numeric(table[column], errors="coerce")
            odd = table[column][table[column].notna() & ~values.isin([0, 1])]
            if len(odd):
                raise UserError(
                    f"set '{self.name}', finding {finding}: the column '{column}' needs 1, 0 or an empty cell; "
                    f"'{table['image'][odd.index[0]]}' has {odd.iloc[0]!r}"
                )
            found[finding] = values.astype(float)
        for finding, pattern in self.patterns.items():
            found[finding] = table["image"].map(lambda name, pattern=pattern: float(bool(re.search(pattern, name))))
        return pd.DataFrame(found, index=table.index)


# Several labelled sets as one: their images under `set/image`, read from each set's own cache.


class Pixels(Protocol):
    """Where images are read from."""

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """uint8 [b, size, size], in the order asked for."""
        ...


@dataclass(frozen=True, eq=False)
class JoinedCache:
    """The caches of several sets behind one.

    Attributes:
        parts: set → its cache; all of one size.
    """

    parts: Mapping[str, ImageCache]

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """A copy of some images, named `set/image`, in the order asked for: uint8 [b, size, size].

        Raises:
            UserError: an image that is not in its set.
        """
        split = [image.split("/", 1) for image in images]
        return np.concatenate([self.parts[name].batch([image]) for name, image in split])


def in_validation(name: str, patient: str, share: float, seed: int) -> bool:
    """Whether a patient is held out: by a hash of the name, so that more images move nobody.

    Args:
        name: of the set; equal ids in two sets are two patients.
        patient: the id.
        share: of the patients that is held out, in (0, 1).
        seed: of the draw.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
