"""The cohort: one row an image, the same columns whatever the source; unknown is NaN or None, never 0 or ''."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cxrlens.errors import UserError
from cxrlens.text import first_few

TEXT_COLUMNS = ("image", "path", "patient", "finding", "view", "source", "site", "date", "sex", "license", "notes")
NUMBER_COLUMNS = ("label", "age")
COLUMNS = (
    "image",
    "patient",
    "label",
    "finding",
    "view",
    "source",
    "site",
    "date",
    "sex",
    "age",
    "license",
    "notes",
    "path",
)
DESCRIPTIVE = tuple(name for name in COLUMNS if name not in ("image", "patient", "label", "path"))
CHOICE = "the study's choice"
"""Whence a row is left out by an option of the study."""
OWN = frozenset({*COLUMNS, "patient_known"})


@dataclass(frozen=True)
class Decoded:
    """One image as read.

    Attributes:
        pixels: float32 [1, height, width] in [0, 1]; higher is brighter, so air is dark and bone is bright.
        facts: what the file is, apart from what it shows: `width`, `height`, `bytes`, `mode`, `format`, `bits`; of a
            file of more than 8 bits that is no DICOM also `depth`, the bits that it is read as, and `depth_alone`,
            those that its header or values say.
        steps: what was done to read it, such as "MONOCHROME1 inverted" or "alpha over black".
        sha256: of the file's bytes (of the pixels, where there is no file).
        read_as: the same file read as one of so many bits, as the other files of a cohort are; None where its depth is
            known.
    """

    pixels: np.ndarray
    facts: dict[str, object] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    sha256: str = ""
    read_as: Callable[[int], Decoded] | None = field(default=None, repr=False, compare=False)

    def at_depth(self, depth: int | None) -> Decoded:
        """As it is read where the cohort's deep files are of `depth` bits; itself without a depth."""
        return self if depth is None or self.read_as is None else self.read_as(depth)


@dataclass(frozen=True)
class Cohort:
    """A study's images.

    Attributes:
        name: of the source.
        table: one row an image, with `COLUMNS` first and whatever else the source knows behind them. `image` is unique
            and is how every later file names it; `patient` is never empty; `label` is 1, 0 or NaN (unknown);
            `patient_known` says whether the source names the patient: one who is not known is called after the image,
            and is nobody else's patient, whatever the name (see `known_patients`).
        read: turns a cell of `path` into a `Decoded`, or raises `UserError` with the reason.
        missing: image → why it has no readable file. The rows stay in `table`: counts are of the listed rows.
        left_out: reason → number of the source's rows that are left out.
        origins: reason → whence it comes, where that is no option of the study, such as "not a frontal chest X-ray".
        unlisted: image files beside the listed ones that no row names.
        other_files: files beside them that are no images by their name.
        warnings: sentences on what the source could not read, took for something else or left out.
        faults: those of the warnings that tell what is plainly wrong.
        notes: sentences that matter in a check of the data alone.
    """

    name: str
    table: pd.DataFrame
    read: Callable[[str], Decoded]
    missing: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    other_files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    origins: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        repeated = self.table["image"][self.table["image"].duplicated()].tolist()
        if repeated:
            again = first_few([*map(str, repeated)], 5)
            raise UserError(f"{self.name}: an image may be listed once; listed again: {again}")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        label = self.table["label"]
        unknown = f", {label.isna().sum()} unlabelled" if label.isna().any() else ""
        missing = f"; {len(self.missing)} images without a readable file" if self.missing else ""
        return (
            f"Cohort '{self.name}': {len(self)} images ({(label == 1).sum()} positive, {(label == 0).sum()} negative"
            f"{unknown}) of {self.table['patient'].nunique()} patients{missing}"
        )

    @property
    def images(self) -> list[str]:
        """Every listed image, in file order."""
        return self.table["image"].tolist()

    @property
    def readable(self) -> pd.DataFrame:
        """The rows whose image can be read (as far as is known), in file order."""
        return self.table[~self.table["image"].isin(list(self.missing))]

    def with_missing(self, missing: dict[str, str]) -> Cohort:
        """The same cohort with more images known to have no readable file."""
        return replace(self, missing={**self.missing, **missing})


def cohort_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with every column of the cohort, in order, text as `str` or None and numbers as float; extras kept behind.

    >>> row = cohort_table(pd.DataFrame({"image": ["a.png"], "label": [1]})).loc[0]
    >>> row["patient"], float(row["label"]), row["view"]
    ('a.png', 1.0, None)
    """
    table = rows.reset_index(drop=True).rename(columns={"patient_known": "table_patient_known"})
    for name in TEXT_COLUMNS:
        column = table[name] if name in table else pd.Series([None] * len(table))
        table[name] = pd.Series([_text(value) for value in column], dtype=object)
    for name in NUMBER_COLUMNS:
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(float) if name in table else np.nan
    known = table["patient"].notna() & (table["patient"] != table["image"])  # a table may say so of its own accord
    table["patient"] = _names_for_unknown(table["patient"], table["image"])
    table["patient_known"] = known.astype(bool)
    return table[[*COLUMNS, "patient_known", *(name for name in table.columns if name not in OWN)]]


def known_patients(table: pd.DataFrame) -> pd.Series:
    """Whether the source names the patient of each image, bool; equal names of unknown patients are no one person.

    Args:
        table: a cohort's, or a run's `cohort.csv`: that of an earlier version tells it by the patient's name alone.
    """
    return table["patient_known"] if "patient_known" in table else table["patient"] != table["image"]


def _names_for_unknown(patients: pd.Series, images: pd.Series) -> pd.Series:
    """Patients, where none is known the image's name, changed where a known patient is called so."""
    taken, names = {*patients.dropna()}, []
    for patient, image in zip(patients, images, strict=True):
        name = patient if patient is not None else image
        while patient is None and name in taken:
            name = f"{name} (patient unknown)"
        names.append(name)
    return pd.Series(names, dtype=object)


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return str(value).strip() or None
