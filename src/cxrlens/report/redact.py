"""Removes images, notes or names from the data of a report before it is shared.

None of this makes a page anonymous: dates, places, ages and findings stay, and so does text burnt into an image.
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

STARTS = re.compile(r"(?<![^\W_])\S")  # a character that follows no letter or digit


@dataclass(frozen=True)
class Names:
    """New names of images and patients.

    In columns and under keys of images or patients, every name is replaced. Within sentences, a name is replaced if it
    cannot be confused with a word: not a plain lower-case word, not a number of fewer than 5 digits ("2" is a patient
    of the covid-chestxray collection), and not two letters ("PA" is a view). An image is also recognised without its
    folder and without its suffix.

    Attributes:
        images: old name of each image → its new name.
        patients: old name of each patient → the new name. A patient named after an image, as for unknown patients, gets
            the new name of that image.
        within: every old name that is recognised within sentences → its new name.
        lengths: lengths of the names in `within`, longest first.
    """

    images: Mapping[str, str]
    patients: Mapping[str, str]
    within: Mapping[str, str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, images: Sequence[str], patients: Sequence[str]) -> Names:
        """New names with numbers in the given order.

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
            for short in (path.name, path.stem):
                if re.search(r"[.\d]", short):
                    within.setdefault(short, new)
        within |= new_patients | new_images
        within = {name: new for name, new in within.items() if _is_distinctive(name)}
        return cls(new_images, new_patients, within, tuple(sorted({len(name) for name in within}, reverse=True)))

    def text(self, text: str) -> str:
        """A text with all names in it replaced: a sentence, a model's name or a whole file."""
        parts, position = [], 0
        for match in STARTS.finditer(text):
            start = match.start()
            if start < position:
                continue
            for end in (start + length for length in self.lengths):  # thousands of names have only a few lengths
                if text[start:end] in self.within and not text[end : end + 1].isalnum():
                    parts += [text[position:start], self.within[text[start:end]]]
                    position = end
                    break
        return "".join([*parts, text[position:]])

    def plain(self, value: Any, key: str = "") -> Any:
        """Plain values of JSON with all names replaced. A value under a key with "image" or "patient" in it is a "
        "name.
        """
        if isinstance(value, Mapping):
            return {self.text(name): self.plain(item, name) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, key) for item in value]
        if not isinstance(value, str):
            return value
        for kind, names in (("image", self.images), ("patient", self.patients)):
            if kind in key and value in names:
                return names[value]
        return self.text(value)

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with all names replaced. The columns `image` and `patient` hold names, the others text."""
        texts = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]
        return table.assign(**{name: [self.plain(cell, name) for cell in table[name]] for name in texts})


def _is_distinctive(name: str) -> bool:
    if name.isdigit():
        return len(name) >= 5
    return len(name) >= (2 if re.search(r"\d", name) else 3) and not re.fullmatch("[a-z_]+", name)


# Figures that may stay on the page. A figure added later is removed until it is listed here.
WITHOUT_XRAYS = frozenset(
    {"auc", "roc", "precision_recall", "calibration", "training", "figure2", "spectrum", "audit", "reuse"}
)
WITHOUT_NAMES = WITHOUT_XRAYS | {"figure3", "audit_evidence"}  # Figure 1 shows file names below its images
FACTS = (
    "width", "height", "bytes", "mode", "format", "bits", "depth", "depth_alone", "sha256", "steps", "missing", "side",
    "fold", "patient_known",
)  # fmt: skip


def images_shown(report: ReportData) -> list[str]:
    """The images that the page may show: those of the gallery, and all readable ones if a figure shows X-rays."""
    if report.pictures.keys() - WITHOUT_XRAYS:
        readable = report.cohort["missing"].isna() if "missing" in report.cohort else slice(None)
        return report.cohort.loc[readable, "image"].tolist()
    return list(report.gallery.images) if report.gallery else []


def without_salt(study: str) -> str:
    r"""The text of a study file without the salt of its patient ids, which stays in the run's folder.

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


def without_images(report: ReportData) -> ReportData:
    """The report without the gallery and without figures that show X-rays. Synthetic images stay: they show no one."""
    return replace(report, gallery=None, pictures=_pictures(report, WITHOUT_XRAYS))


def without_notes(report: ReportData) -> ReportData:
    """The report without notes, and without columns that cxrlens does not use, because they may hold notes."""
    table = _own_columns(report.cohort)
    if "notes" in table:
        table = table.assign(notes=np.nan)
    return replace(report, cohort=table)


def renamed(report: ReportData) -> ReportData:
    """The report with patients called "patient 1", "patient 2"... and images "image 1"..., as in `cohort.csv`.

    The order allows anyone with the run's folder to identify them. Everything else that identifies a file is removed:
    hashes, figures that show names, columns that cxrlens does not use, and paths. `Names` describes how names within
    sentences are recognised.
    """
    names = Names.of(*_all_names(report))
    paths = ("command", "data", "study_dir", "near")  # older versions wrote `near` for `study_dir`
    environment = {name: value for name, value in report.environment.items() if name not in paths}
    table = _own_columns(report.cohort).drop(columns="sha256", errors="ignore")
    gallery = report.gallery
    return replace(
        report,
        results=names.plain(report.results),
        environment=names.plain(environment),
        study=names.text(report.study),
        cohort=names.table(table),
        predictions=names.table(report.predictions),
        explanations=names.plain(report.explanations),
        audit=names.plain(report.audit),
        external=names.plain(report.external),
        pictures=_pictures(report, WITHOUT_NAMES),
        gallery=gallery and _renamed_gallery(gallery, names),
    )


def _all_names(report: ReportData) -> tuple[list[str], list[str]]:
    tables = (report.cohort, report.predictions)
    images = [*(image for table in tables for image in table["image"])]
    images += report.gallery.images if report.gallery else ()
    patients = [patient for table in tables for patient in table["patient"]]
    return list(dict.fromkeys(images)), list(dict.fromkeys(name for name in patients if isinstance(name, str)))


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


def _pictures(report: ReportData, figures: Collection[str]) -> dict[str, bytes]:
    return {name: picture for name, picture in report.pictures.items() if name in figures}
