"""The cohort: a table with one row per image and the same columns for each source; unknown is NaN or None."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

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
"""Origin of a reason to leave rows out: an option of the study."""
RESERVED = frozenset({*COLUMNS, "patient_known"})


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes:
        pixels: image as float32 [1, height, width] in [0, 1]; higher is brighter, so air is dark and bone is bright.
        facts: properties of the file: `width`, `height`, `bytes`, `mode`, `format` and `bits`. A file of more than 8
            bits that is not DICOM also has `depth`, the bits that it is read as, and `depth_alone`, the bits by its own
            header or values.
        steps: conversions and warnings of the reader, such as "MONOCHROME1 inverted" or "alpha over black".
        sha256: hash of the file's bytes, or of the pixels where there is no file.
        read_as: function that decodes the same file at another depth in bits; None where its depth is known.
    """

    pixels: np.ndarray
    facts: dict[str, object] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    sha256: str = ""
    read_as: Callable[[int], Decoded] | None = field(default=None, repr=False, compare=False)

    def at_depth(self, depth: int | None) -> Decoded:
        """The image as read where most deep files of the cohort have `depth` bits; unchanged with None."""
        return self if depth is None or self.read_as is None else self.read_as(depth)


@dataclass(frozen=True)
class Cohort:
    """The images of a study.

    Attributes:
        name: name of the data source.
        table: table with one row per image: `COLUMNS` first, then further columns of the source. `image` is unique and
            names the image in all later files; `patient` is never empty; `label` is 1, 0 or NaN (unknown).
            `patient_known` tells whether the source names the patient; an unknown patient is named after the image and
            counts as a patient of its own (see `known_patients`).
        read: function that decodes the image of a cell of `path`; it raises `UserError` with the reason if it cannot.
        missing: image → why it has no readable file. Its row stays in `table`, so counts include it.
        left_out: reason → number of rows of the source that are left out.
        origins: reason → its origin, such as "not a frontal chest X-ray", if this is not an option of the study.
        unlisted: image files that no row names.
        other_files: files that are not images by their name.
        warnings: sentences on what the source could not read, took for something else or left out.
        faults: warnings on plain errors of the data; a subset of `warnings`.
        notes: sentences for the data check only.
        data_dir: folder that relative cells of `path` start from; None where every cell is absolute or names no file.
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
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        repeated = self.table["image"][self.table["image"].duplicated()].tolist()
        if repeated:
            images = first_few([*map(str, repeated)], 5)
            raise UserError(f"{self.name}: each image must be listed once; listed several times: {images}")

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
        """Names of all listed images, in file order."""
        return self.table["image"].tolist()

    @property
    def readable(self) -> pd.DataFrame:
        """The rows of `table` whose image can be read (as far as is known), in file order."""
        return self.table[~self.table["image"].isin(list(self.missing))]

    def with_missing(self, missing: dict[str, str]) -> Cohort:
        """The same cohort with further images without a readable file.

        Args:
            missing: image → why it has no readable file.
        """
        return replace(self, missing={**self.missing, **missing})


def cohort_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Builds a cohort table: all `COLUMNS` in order, text as `str` or None, numbers as float, then other columns.

    Args:
        rows: one row per image, with any of `COLUMNS` and any other columns.

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
    known = table["patient"].notna() & (table["patient"] != table["image"])  # a table may name the image itself
    table["patient"] = _names_for_unknown(table["patient"], table["image"])
    table["patient_known"] = known.astype(bool)
    return table[[*COLUMNS, "patient_known", *(name for name in table.columns if name not in RESERVED)]]


def known_patients(table: pd.DataFrame) -> pd.Series:
    """Whether the source names the patient of each image, bool; unknown patients with equal names are different people.

    Args:
        table: cohort table, or the `cohort.csv` of a run. Without the column `patient_known`, as in files of earlier
            versions, a patient named as the image is unknown.
    """
    return table["patient_known"] if "patient_known" in table else table["patient"] != table["image"]


def _names_for_unknown(patients: pd.Series, images: pd.Series) -> pd.Series:
    """Fills unknown patients with the name of the image, made different from the names of known patients."""
    known_names, names = {*patients.dropna()}, []
    for patient, image in zip(patients, images, strict=True):
        name = patient if patient is not None else image
        while patient is None and name in known_names:
            name = f"{name} (patient unknown)"
        names.append(name)
    return pd.Series(names, dtype=object)


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return str(value).strip() or None
