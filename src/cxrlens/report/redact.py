"""What of a run may leave: a reading without its images, without its notes, or with every name replaced.

None of it makes a page anonymous: dates, places, ages and findings stay, and so does what is burnt into an image.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import tomlkit
from tomlkit.exceptions import TOMLKitError

from cxrlens.data.cohort import COLUMNS
from cxrlens.report.report_data import Gallery, ReportData

# Patients and images under other names, in tables, in plain values and within sentences.

STARTS = re.compile(r"(?<![^\W_])\S")  # a sign without a letter or digit before it


@dataclass(frozen=True)
class Names:
    """New names for old.

    A name is replaced wherever it stands as one: in columns and under keys of images or of patients. Within sentences
    it is replaced where it can be told from a word: not a plain lower-case word, not a number of fewer than 5 digits
    ("2" is a patient of the covid-chestxray collection), not two letters ("PA" is a view). An image's name is also
    known without its folder and without its suffix.

    Attributes:
        images: old → new.
        patients: old → new; a patient who is called after an image, as where none is known, is still so.
        within: every old name that can be told within a sentence → new.
        lengths: of those, longest first.
    """

    images: Mapping[str, str]
    patients: Mapping[str, str]
    within: Mapping[str, str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, images: Sequence[str], patients: Sequence[str]) -> Names:
        """Numbers both in their order.

        >>> names = Names.of(["a-7.png", "3"], ["P 1", "2"])
        >>> names.text("P 1 (a-7.png) is 1 of 2"), names.plain({"image": "3", "patients": ["2"], "p": "3 of 2"})
        ('patient 1 (image 1) is 1 of 2', {'image': 'image 2', 'patients': ['patient 2'], 'p': '3 of 2'})
        """
        new_images = {name: f"image {number}" for number, name in enumerate(images, start=1)}
        new_patients = {
            name: new_images.get(name, f"patient {number}") for number, name in enumerate(patients, start=1)
        }
        within: dict[str, str] = {}
        for name, new in new_images.items():
            path = PurePosixPath(name.replace("\\", "/"))
            for each in (path.name, path.stem):
                if re.search(r"[.\d]", each):
                    within.setdefault(each, new)
        within |= new_patients | new_images
        within = {name: new for name, new in within.items() if _can_be_told(name)}
        return cls(new_images, new_patients, within, tuple(sorted({len(name) for name in within}, reverse=True)))

    def text(self, text: str) -> str:
        """A sentence, a model's name or a whole file."""
        said, done = [], 0
        for found in STARTS.finditer(text):
            start = found.start()
            if start < done:
                continue
            for end in (start + length for length in self.lengths):  # thousands of names have few lengths
                if text[start:end] in self.within and not text[end : end + 1].isalnum():
                    said += [text[done:start], self.within[text[start:end]]]
                    done = end
                    break
        return "".join([*said, text[done:]])

    def plain(self, value: Any, key: str = "") -> Any:
        """Plain values of JSON: what stands under a key with "image" or "patient" in it is a name."""
        if isinstance(value, Mapping):
            return {self.text(name): self.plain(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(each, key) for each in value]
        if not isinstance(value, str):
            return value
        for what, names in (("image", self.images), ("patient", self.patients)):
            if what in key and value in names:
                return names[value]
        return self.text(value)

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table: its columns `image` and `patient` are names, the others text."""
        texts = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
        return table.assign(**{name: [self.plain(cell, name) for cell in table[name]] for name in texts})


def _can_be_told(name: str) -> bool:
    if name.isdigit():
        return len(name) >= 5
    return len(name) >= (2 if re.search(r"\d", name) else 3) and not re.fullmatch("[a-z_]+", name)


# Named where they may stay, not where they may not: a figure that is added later stays at home until it is looked at.
WITHOUT_XRAYS = frozenset(
    {"auc", "roc", "precision_recall", "calibration", "training", "figure2", "spectrum", "audit", "reuse"}
)
WITHOUT_NAMES = WITHOUT_XRAYS | {"figure3", "audit_evidence"}  # Figure 1 has file names below its images
FACTS = (
    "width", "height", "bytes", "mode", "format", "bits", "depth", "depth_alone", "sha256", "steps", "missing", "side",
    "fold", "patient_known",
)  # fmt: skip


def images_shown(reading: ReportData) -> list[str]:
    """The images that a page of this reading may show: the gallery's, and any, where a figure with X-rays is there."""
    if reading.pictures.keys() - WITHOUT_XRAYS:
        readable = reading.cohort["missing"].isna() if "missing" in reading.cohort else slice(None)
        return reading.cohort.loc[readable, "image"].tolist()
    return list(reading.gallery.images) if reading.gallery else []


def without_salt(study: str) -> str:
    r"""A study file's text without the secret of its patient ids, which stays in the run's folder.

    >>> without_salt('[data]\nsalt = "abc"\n')
    '[data]\nsalt = "kept in the folder of the run"\n'
    """
    try:
        tables = tomlkit.parse(study)
    except TOMLKitError:
        return study
    data = tables.get("data")
    salt = data.get("salt") if isinstance(data, dict) else None
    if not isinstance(salt, str) or not salt or salt.startswith("env:"):
        return study
    tables["data"]["salt"] = "kept in the folder of the run"
    return tomlkit.dumps(tables)


def without_images(reading: ReportData) -> ReportData:
    """Without the gallery and every figure that shows X-rays. Pictures that a network made stay: they show nobody."""
    return replace(reading, gallery=None, pictures=_kept(reading, WITHOUT_XRAYS))


def without_notes(reading: ReportData) -> ReportData:
    """Without the notes, and without the columns that are not the cohort's own: notes may stand in any of them."""
    table = _own_columns(reading.cohort)
    if "notes" in table:
        table = table.assign(notes=np.nan)
    return replace(reading, cohort=table)


def renamed(reading: ReportData) -> ReportData:
    """Patients are "patient 1", "patient 2"..., images "image 1"..., in the order of `cohort.csv`, everywhere.

    Whoever has the run's folder can so find them again. A file's hash names the file, so hashes go; so do figures that
    print names, columns that are not the cohort's own, and the paths on the machine of the run. See `Names` on names
    within sentences.
    """
    names = Names.of(*_named(reading))
    environment = {name: told for name, told in reading.environment.items() if name not in ("command", "data", "near")}
    table = _own_columns(reading.cohort).drop(columns="sha256", errors="ignore")
    gallery = reading.gallery
    return replace(
        reading,
        results=names.plain(reading.results),
        environment=names.plain(environment),
        study=names.text(reading.study),
        cohort=names.table(table),
        predictions=names.table(reading.predictions),
        explained=names.plain(reading.explained),
        audited=names.plain(reading.audited),
        elsewhere=names.plain(reading.elsewhere),
        pictures=_kept(reading, WITHOUT_NAMES),
        gallery=gallery and _renamed_gallery(gallery, names),
    )


def _named(reading: ReportData) -> tuple[list[str], list[str]]:
    tables = (reading.cohort, reading.predictions)
    images = [*(image for table in tables for image in table["image"])]
    images += reading.gallery.images if reading.gallery else ()
    patients = [patient for table in tables for patient in table["patient"]]
    return list(dict.fromkeys(images)), list(dict.fromkeys(each for each in patients if isinstance(each, str)))


def _renamed_gallery(gallery: Gallery, names: Names) -> Gallery:
    return replace(
        gallery,
        images=tuple(names.images[image] for image in gallery.images),
        maps={names.text(model): maps for model, maps in gallery.maps.items()},
        margins={names.text(model): margins for model, margins in gallery.margins.items()},
        thresholds={names.text(model): threshold for model, threshold in gallery.thresholds.items()},
        missing={
            names.text(model): {method: names.text(why) for method, why in reasons.items()}
            for model, reasons in gallery.missing.items()
        },
    )


def _own_columns(table: pd.DataFrame) -> pd.DataFrame:
    return table[[name for name in table if name in (*COLUMNS, *FACTS)]]


def _kept(reading: ReportData, figures: Collection[str]) -> dict[str, bytes]:
    return {name: picture for name, picture in reading.pictures.items() if name in figures}
