"""A folder a class, such as `train/NORMAL/` and `train/PNEUMONIA/` (the layout of Kermany et al. 2018)."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd
from pydantic import field_validator, model_validator

from cxrlens.data.cohort import Cohort, cohort_table
from cxrlens.data.dicom_header import HeaderOptions, with_headers
from cxrlens.data.files import Files, data_root, list_files, looks_like_image
from cxrlens.data.findings import check_occur
from cxrlens.data.listed import read_below
from cxrlens.data.sources import SOURCES, Source
from cxrlens.errors import UserError

NEGATIVE_NAMES = frozenset({"normal", "negative", "no finding", "healthy", "control", "controls", "0"})


@SOURCES.register("image_folder")
class ImageFolder(HeaderOptions, Source):
    r"""Images whose class is the name of a folder above them.

    Attributes:
        positive: folder names of the positive class, anywhere between the root and the file.
        negative: folder names of the negative class. Without either there must be exactly two class folders, one of
            them called as negatives are (NORMAL, negative, no finding, healthy, control, 0).
        patient_pattern: regular expression, searched in the file name; the first group that takes part is the patient,
            such as `person(\d+)_|(IM-\d+|NORMAL2-IM-\d+)`. A file it does not fit is its own patient, as is every file
            without a pattern.

    DICOM headers fill what neither says: patient, sex, age, view, date, site and device (see `HeaderOptions`).
    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    patient_pattern: str | None = None

    @field_validator("patient_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groups if pattern is not None else 1
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if not groups:
            raise ValueError(r"needs a group (in parentheses) that is the patient, such as 'person(\d+)_'")
        return pattern

    @model_validator(mode="after")
    def _both_or_neither(self) -> ImageFolder:
        if bool(self.positive) != bool(self.negative):
            raise ValueError("give both positive and negative folder names, or neither")
        return self

    def cohort(self, root: Path | None) -> Cohort:
        """Lists the images by path; `image` is the path below the root, `finding` the class folder."""
        root = data_root(root, ("*/",), "a folder for each class")
        files = list_files(root)
        paths = [path for path in files.paths if "/" in path and looks_like_image(path)]
        positive, negative = self._classes(root, paths)
        rows, left_out = [], Counter[str]()
        for path in paths:
            above = PurePosixPath(path).parts[:-1]
            hits = [name for name in above if name in positive or name in negative]
            if not hits:
                left_out[f"folder {'/'.join(above)} is no class"] += 1
                continue
            if any(name in positive for name in hits) and any(name in negative for name in hits):
                raise UserError(f"{root / path} lies in folders of both classes: {', '.join(hits)}")
            label = float(hits[-1] in positive)
            rows.append(
                {
                    "image": path,
                    "label": label,
                    "finding": hits[-1],
                    "patient": self._patient(path),
                    "folder": "/".join(above),
                }
            )
        if not rows:
            raise UserError(f"{root}: the class folders {', '.join([*positive, *negative])} hold no image")
        if self.patient_pattern is not None and all(row["patient"] is None for row in rows):
            first = PurePosixPath(paths[0]).name
            raise UserError(f"patient_pattern '{self.patient_pattern}' fits no file name; the first is '{first}'")
        return self._cohort(files, pd.DataFrame(rows), left_out)

    def _cohort(self, files: Files, rows: pd.DataFrame, left_out: Counter[str]) -> Cohort:
        table = cohort_table(rows)
        outside = set(files.outside)
        table["path"] = pd.Series([None if path in outside else path for path in rows["image"]], dtype=object)
        missing = dict.fromkeys(table["image"][table["path"].isna()], "a link out of the data folder: refused")
        listed = {*rows["image"]}
        unlisted = tuple(
            path for path in files.paths if path not in listed and not PurePosixPath(path).name.startswith(".")
        )
        cohort = Cohort("image_folder", table, partial(read_below, files.root), missing, dict(left_out), unlisted)
        return self._with_headers(cohort, files.root)

    def _with_headers(self, cohort: Cohort, root: Path) -> Cohort:
        return with_headers(cohort, root, self)

    def _classes(self, root: Path, paths: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self.positive:
            folders = {name for path in paths for name in PurePosixPath(path).parts[:-1]}
            check_occur(
                {"positive": self.positive, "negative": self.negative}, folders, f"the folder names below {root}"
            )
            return self.positive, self.negative
        names = sorted({PurePosixPath(path).parts[-2] for path in paths})
        negative = [name for name in names if name.lower().replace("_", " ").replace("-", " ") in NEGATIVE_NAMES]
        if len(names) != 2 or len(negative) != 1:
            found = ", ".join(names) or "none"
            todo = "set positive and negative in [data]"
            raise UserError(f"{root}: which folders are which class? {todo}; folders with images: {found}")
        return tuple(name for name in names if name not in negative), tuple(negative)

    def _patient(self, path: str) -> str | None:
        match = re.search(self.patient_pattern, PurePosixPath(path).name) if self.patient_pattern is not None else None
        return next((group for group in match.groups() if group), None) if match else None
