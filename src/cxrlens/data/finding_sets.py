"""Labelled sets for pretraining: a data source, with the columns or file names that state each finding."""

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
    r"""A `[[data]]` table of a pretraining file; keys that are not listed here are options of the data source.

    Attributes:
        name: short name of the set; where several sets are joined, images are called `name/image`.
        folder: folder of the set, below the data folder.
        source: the data source with its options.
        findings: finding → column of the cohort with 1, 0 or an empty cell (unknown); "label" is the source's own
            label. A list of findings stands for columns of the same names.
        patterns: finding → regular expression, such as `_bacteria_`; the finding is 1 in images whose name matches, 0
            in others.
        probe_only: whether the set is only for linear probes of the features learned on the other sets; nothing is
            learned from it.
    """

    name: str = Field(min_length=1, pattern=r"^[^/\\]+$")
    folder: str = "."
    source: SerializeAsAny[Source]
    findings: dict[str, str] = Field(default_factory=dict)
    patterns: dict[str, str] = Field(default_factory=dict)
    probe_only: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The findings of the set: those of columns, then those of file names."""
        return (*self.findings, *self.patterns)

    @classmethod
    def of(cls, raw: Mapping[str, Any], where: str) -> FindingSet:
        """Builds a set from its table in a pretraining file.

        Args:
            raw: keys and values of the table; keys that are not fields of a set are options of the source.
            where: place of the table, for error messages.

        Raises:
            UserError: the source or a key is unknown.
        """
        own = {key: value for key, value in raw.items() if key in cls.model_fields and key != "source"}
        kind = SOURCES[str(raw.get("source", ""))]
        options = {key: value for key, value in raw.items() if key not in cls.model_fields}
        return parse(cls, {**own, "source": parse(kind, options, where)}, where)

    @field_validator("findings", mode="before", json_schema_input_type=dict[str, str] | tuple[str, ...])
    @classmethod
    def _same_names(cls, findings: object) -> object:
        is_list = isinstance(findings, list | tuple) and all(isinstance(name, str) for name in findings)
        return {name: name for name in findings} if is_list else findings

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
            raise ValueError("needs findings (columns) or patterns (of file names): without them it has no labels")
        if shared := self.findings.keys() & self.patterns.keys():
            raise ValueError(f"{', '.join(sorted(shared))}: listed under both findings and patterns; keep one")
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images of the set.

        Args:
            data_dir: data folder that holds `folder`.

        Raises:
            UserError: no data folder is given, or the source cannot list its images.
        """
        if self.source.needs_data_dir and data_dir is None:
            raise UserError(f"the set '{self.name}' needs the folder above its own; give it with --data PATH")
        return self.source.cohort(data_dir / self.folder if data_dir is not None else None)

    def labels(self, cohort: Cohort) -> pd.DataFrame:
        """The labels of a cohort of this set: 1, 0 or NaN (unknown).

        Args:
            cohort: images of the set, from `cohort`.

        Returns:
            A table with one row per image, in the cohort's order, and one column per finding.

        Raises:
            UserError: a column is absent, or holds a value other than 1, 0 or an empty cell.
        """
        table, labels = cohort.table, {}
        for finding, column in self.findings.items():
            if column not in table:
                raise UserError(f"set '{self.name}': {near_miss('column', column, table.columns)}")
            values = pd.to_numeric(table[column], errors="coerce")
            invalid = table[column][table[column].notna() & ~values.isin([0, 1])]
            if len(invalid):
                raise UserError(
                    f"set '{self.name}', finding {finding}: the column '{column}' needs 1, 0 or an empty cell; "
                    f"'{table['image'][invalid.index[0]]}' has {invalid.iloc[0]!r}"
                )
            labels[finding] = values.astype(float)
        for finding, pattern in self.patterns.items():
            labels[finding] = table["image"].map(lambda name, pattern=pattern: float(bool(re.search(pattern, name))))
        return pd.DataFrame(labels, index=table.index)


# Several labelled sets as one: an image is called `set/image` and read from the cache of its set.


class Pixels(Protocol):
    """A source of decoded images, such as `ImageCache`."""

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """The images of these names as uint8 [b, size, size], in their order."""
        ...


@dataclass(frozen=True, eq=False)
class JoinedCache:
    """The image caches of several sets as one.

    Attributes:
        parts: name of a set → its cache; all caches have one image size.
    """

    parts: Mapping[str, ImageCache]

    def batch(self, images: Sequence[str]) -> np.ndarray:
        """Copies images into an array.

        Args:
            images: names as `set/image`.

        Returns:
            uint8 [b, size, size], in the order of `images`.

        Raises:
            UserError: an image is not in its set.
        """
        split = [image.split("/", 1) for image in images]
        return np.concatenate([self.parts[name].batch([image]) for name, image in split])


def in_validation(name: str, patient: str, share: float, seed: int) -> bool:
    """Whether a patient belongs to the validation set. A hash decides, so that new images move no patient.

    Args:
        name: name of the set; equal ids in two sets are two patients.
        patient: id of the patient.
        share: share of the patients in the validation set, in (0, 1).
        seed: seed of the draw.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
