"""A folder of DICOM files, as an archive writes them: the headers are the table.

Patient, sex, age, view, date, site and device come from the headers (`data/dicom_header.py`); what is no frontal chest
radiograph by its header is left out and counted. The label comes from class folders or from a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd
from pydantic import model_validator

from cxrlens.data.cohort import COLUMNS, DESCRIPTIVE, Cohort, cohort_table
from cxrlens.data.demographics import patient_columns, read_columns
from cxrlens.data.dicom_header import Header, read_headers, reasons
from cxrlens.data.dicom_patients import with_headers
from cxrlens.data.files import Files, below, find_data_dir, is_hidden, list_files, looks_like_image
from cxrlens.data.findings import Values, option_of, plain_value
from cxrlens.data.listed import find_rows, read_below
from cxrlens.data.sources import SOURCES
from cxrlens.data.sources.image_folder import COPIES, ImageFolder
from cxrlens.data.tables import Table, extras, read_table
from cxrlens.errors import UserError
from cxrlens.text import many

Match = Literal["file", "SOPInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID"]
CALLED = {
    "file": ("file", "filename", "filepath", "path", "image", "imageid", "dicom", "dicomid", "id"),
    "SOPInstanceUID": ("sopinstanceuid", "instanceuid", "imageuid"),
    "StudyInstanceUID": ("studyinstanceuid", "studyuid", "studyid"),
    "AccessionNumber": ("accessionnumber", "accession", "accessionno"),
    "PatientID": ("patientid", "patient", "pid", "mrn"),
}
"""What columns with each of these are usually called, in small letters without marks between words."""


NOT_A_CHEST, NOT_USABLE, NOT_LISTED = "not a frontal chest X-ray", "cannot be used", "its label is not known"
"""Whence a file is left out that no option of the study leaves out."""


@SOURCES.register("dicom_folder")
class DicomFolder(ImageFolder):
    r"""DICOM files anywhere below a folder, with or without a suffix.

    Attributes:
        positive: without a table, folder names of the positive class, as in `image_folder`; with one, values of it
            (1, true and yes, where none is given).
        negative: the same of the negative class (0, false and no).
        patient_pattern: as in `image_folder`; it goes before the header's PatientID.
        table: a CSV file with the labels, below the data folder. Its columns patient, sex, age, view, date, site,
            source, finding, license and notes go before the header; others are kept, but for those called as patients'
            ids are.
        match: what a row of the table names: a file (path, name, or name without its suffix), an image or a study (by
            UID), an order or a patient. A row of a study or a patient labels all of their images.
        column: the table's column with that; one called as usual is found by itself.
        label: the table's column with the label; an empty cell is an unknown label.
        views: views kept, such as "PA" and "AP"; empty keeps all frontal ones, those that are not stated too.
        patient_ids: see `HeaderOptions`.
        salt: see `HeaderOptions`.
    """

    positive: Values = ()
    negative: Values = ()
    table: str | None = None
    match: Match = "file"
    column: str | None = None
    label: str = "label"
    views: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _table_or_folders(self) -> DicomFolder:
        of_table = {"match", "column", "label"} & self.model_fields_set
        if self.table is None and of_table:
            raise ValueError(f"{', '.join(sorted(of_table))}: of a table, but no table is given")
        shared = {"positive", "negative", "patient_pattern", "patient_ids", "salt", "most_missing"}
        of_folders = self.model_fields_set & ImageFolder.model_fields.keys() - shared
        if self.table is not None and of_folders:
            raise ValueError(f"{', '.join(sorted(of_folders))}: of class folders, but the labels come from a table")
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images by path; `image` is the path below the root."""
        if self.table is None:
            cohort = super().cohort(data_dir)
            return replace(cohort, name="dicom_folder")
        data_dir = find_data_dir(data_dir, (), f"DICOM files and the table {self.table}")
        own = below(data_dir, self.table)
        table = read_table(data_dir / own)
        files = list_files(data_dir)
        once: dict[str, str] = {}
        for path in sorted(files.paths, key=lambda path: path in files.targets):  # the file itself before its links
            if path != own and path not in files.refused and not is_hidden(path):
                once.setdefault(files.same_file(path), path)
        headers = read_headers(data_dir, sorted(once.values()))
        if not headers:
            raise UserError(f"{data_dir} holds no DICOM file; {many(len(files.paths), 'file')} looked at")
        return self._labelled(data_dir, table, own, files, headers)

    def _with_headers(self, cohort: Cohort, data_dir: Path) -> Cohort:
        headers = read_headers(data_dir, [path for path in cohort.table["path"] if isinstance(path, str)])
        return self._kept(cohort, data_dir, headers)

    def _kept(self, cohort: Cohort, data_dir: Path, headers: Mapping[str, Header | str]) -> Cohort:
        """Fills the table, and leaves out what is no DICOM, no frontal chest or of another view than asked for."""
        by_header = reasons({path: headers[path] for path in _listed(cohort) & headers.keys()})
        left_out = Counter(cohort.left_out) + by_header
        origins = cohort.origins | dict.fromkeys(by_header, NOT_A_CHEST)
        refused = {path for path, header in headers.items() if isinstance(header, Header) and header.refused}
        no_dicom = _listed(cohort) - headers.keys()
        if no_dicom:
            left_out["no DICOM"] = len(no_dicom)
            origins["no DICOM"] = NOT_USABLE
        gone = refused | no_dicom
        cohort = _without(replace(cohort, origins=origins), cohort.table["path"].isin(list(gone)), left_out)
        kept = {path: header for path, header in headers.items() if path in _listed(cohort)}
        cohort = with_headers(cohort, data_dir, self, kept)
        if self.views:
            wanted = {view.casefold() for view in self.views}
            seen = [(view or "not stated") for view in cohort.table["view"]]
            other = pd.Series([view.casefold() not in wanted for view in seen], index=cohort.table.index)
            left_out.update(f"view {view}" for view, out in zip(seen, other, strict=True) if out)
            cohort = _without(cohort, other, left_out)
        if not len(cohort):
            some = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common(5))
            raise UserError(f"{data_dir}: no image is left for the study: {some}")
        return cohort

    def _labelled(
        self, data_dir: Path, table: Table, own: str, files: Files, headers: Mapping[str, Header | str]
    ) -> Cohort:
        column = self._column(table)
        table.need([column, self.label])
        links = [path for path in files.targets if files.same_file(path) in headers and path not in headers]
        named = self._named(table, column, files.only([*headers, *links]), data_dir)
        rows, told = self._rows(table, column, named)
        known, left_out, used = [], Counter[str](), set[str]()
        origins: dict[str, str] = {}
        for path in sorted(headers):
            key = files.same_file(path) if self.match == "file" else self._key(headers[path])
            if key in rows:
                known.append({"image": path, **rows[key]})
                used.add(key)
                continue
            reason, origin = self._unfit(headers[path])
            if path in named.several:
                used.add(named.several[path])
                reason = f"the table names '{PurePosixPath(path).name}', as several files are called"
                origin = NOT_LISTED
            left_out[reason] += 1
            origins[reason] = origin
        if not known:
            some = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common(3))
            raise UserError(
                f"{table.path}: the column {column} fits no DICOM file by {self.match}: {some}; say with match and "
                "column what a row names"
            )
        if self.patient_pattern is not None:
            patients = {path: self._patient(PurePosixPath(path).parts[:-1], path) for path in headers}
            patients = {row["image"]: patients[row["image"]] for row in known}
            told += self._unfit_pattern(self.patient_pattern, patients)
            known = [row | ({"patient": patient} if (patient := patients[row["image"]]) else {}) for row in known]
        frame = cohort_table(pd.DataFrame(known))
        frame["path"] = frame["image"].astype(object)
        faults = self._unused(table, column, named, used)
        told += faults
        if links:
            left_out[COPIES] = len(links)
            origins[COPIES] = "counted once"
        refused = [path for path in files.refused if looks_like_image(path)]
        left_out.update(files.refused[path] for path in refused)
        origins |= dict.fromkeys((files.refused[path] for path in refused), NOT_USABLE)
        listed = [*headers, *links, *refused, own]  # what the table or a header leaves out is counted already
        cohort = Cohort(
            "dicom_folder", frame, partial(read_below, data_dir), {}, dict(left_out),
            files.unlisted(listed), files.others(listed), tuple(told), origins,
            faults=tuple(faults) if self.match == "file" else (),  # a table of studies may be of more than a folder
        )  # fmt: skip
        return self._kept(cohort, data_dir, {path: headers[path] for path in frame["image"]})

    def _unused(self, table: Table, column: str, named: _Named, used: set[str]) -> list[str]:
        """The sentence on rows that fit no file; it tells a file's name, but no id of a patient, order or study."""
        unused = {key: line for key, line in named.lines.items() if key not in used}
        if not unused:
            return []
        key = min(unused, key=lambda key: unused[key])
        line = unused[key]
        what = "file" if self.match == "file" else self.match
        cell = str(table.rows[column].tolist()[list(table.lines).index(line)])
        where = f"line {line}" + (f", '{cell}'" if self.match == "file" else "") + named.reasons.get(key, "")
        if len(unused) == 1:
            return [f"1 row of {table.path.name} names no {what} here: {where}"]
        return [f"{len(unused)} rows of {table.path.name} name no {what} here (first: {where})"]

    def _unfit(self, header: Header | str) -> tuple[str, str]:
        """Why no row of the table fits a file, and whence that comes."""
        if isinstance(header, str):
            return "header cannot be read", NOT_USABLE
        if self.match != "file" and not self._key(header):
            return f"no {self.match} in the header", NOT_LISTED
        return f"no row in the table{'' if self.match == 'file' else f' with their {self.match}'}", NOT_LISTED

    def _column(self, table: Table) -> str:
        if self.column is not None:
            return self.column
        columns = {re.sub(r"[\W_]", "", str(name)).casefold(): str(name) for name in table.rows.columns}
        hit = next((columns[name] for name in CALLED[self.match] if name in columns), None)
        if hit is None:
            found = ", ".join(map(str, table.rows.columns))
            raise UserError(
                f"{table.path} line 1: which column names the {self.match}? Say column in [data]; "
                f"columns found: {found}"
            )
        return hit

    def _key(self, header: Header | str) -> str:
        """What a row calls an image by its header; "" where that is not known."""
        if isinstance(header, str):
            return ""
        return {
            "SOPInstanceUID": header.instance,
            "StudyInstanceUID": header.study,
            "AccessionNumber": header.accession.casefold(),
            "PatientID": header.identity[1],
        }[self.match]

    def _named(self, table: Table, column: str, files: Files, data_dir: Path) -> _Named:
        cells = table.rows[column].tolist()
        if self.match != "file":
            exact = self.match.endswith("UID")
            return _Named.of(table, [cell if exact else " ".join(cell.split()).casefold() for cell in cells])
        found = find_rows(table, cells, files, data_dir)
        reasons = {each.file: f" ({each.reason})" for each in found if each.reason != "no such file"}
        several = {path: each.file for each in found for path in each.several}
        return _Named.of(table, [each.file for each in found], reasons, several)

    def _rows(self, table: Table, column: str, named: _Named) -> tuple[dict[str, dict[str, object]], list[str]]:
        """Key → the cohort's columns, and what cannot be read; rows of one key (a row a box) agree in their label.

        Raises:
            UserError: a label that is of no class, or two labels of one key; with the lines.
        """
        labels = self._labels(table)
        taken = [column, self.label]
        used = [name for name in DESCRIPTIVE if name in table.rows and name not in taken]
        cells: dict[str, list[object]] = {name: [*table.rows[name]] for name in used}
        asked = [name for name in ("patient", "sex", "age") if name in table.rows and name not in taken]
        columns, told = read_columns({name: table.rows[name].tolist() for name in asked})
        cells |= columns
        ids = [name for name in patient_columns(table.rows.columns) if name not in (*taken, "patient")]
        told += [
            f"the column {name} may say the patient and is not kept, so that no id is written down; called patient, "
            "it is used"
            for name in ids
        ]
        taken = [*taken, *used, "patient", *ids]
        cells |= extras(table.rows, taken, COLUMNS)
        rows: dict[str, dict[str, object]] = {}
        for row, key in enumerate(named.keys):
            if not key:
                continue
            record = {name: values[row] for name, values in cells.items()}
            first = rows.setdefault(key, {"label": labels[row], **record})
            if first["label"] != labels[row] and not (first["label"] != first["label"] and labels[row] != labels[row]):
                raise UserError(
                    f"{table.path.name}: lines {named.lines[key]} and {table.lines[row]} give one {self.match} two "
                    "labels; keep one"
                )
            for name, value in record.items():
                if first[name] != value:
                    first[name] = None  # the rows differ in it
        return rows, told

    def _labels(self, table: Table) -> list[float]:
        positive, negative = self.positive or ("1", "true", "yes"), self.negative or ("0", "false", "no")
        classes = {"positive": map(plain_value, positive), "negative": map(plain_value, negative)}
        values = {value: float(option == "positive") for value, option in option_of(classes).items()}
        labels = []
        for row, cell in enumerate(table.rows[self.label].tolist()):
            if cell and plain_value(cell) not in values:
                known = f"positive {', '.join(positive)}; negative {', '.join(negative)}"
                raise UserError(
                    f"{table.where(row)}: '{cell}' in the column {self.label} is neither class ({known}); add it to "
                    "one in [data]; leave the cell empty where the label is unknown"
                )
            labels.append(values[plain_value(cell)] if cell else float("nan"))
        return labels


@dataclass(frozen=True)
class _Named:
    """What the rows of a table name.

    Attributes:
        keys: one a row; "" where it names nothing.
        lines: key → the first line that names it.
        reasons: key → why there is no file, in brackets, where that is not plain.
        several: path of a file that shares its name with others → the key of a row that gives this name.
    """

    keys: Sequence[str]
    lines: Mapping[str, int]
    reasons: Mapping[str, str]
    several: Mapping[str, str]

    @classmethod
    def of(
        cls,
        table: Table,
        keys: Sequence[str],
        reasons: Mapping[str, str] | None = None,
        several: Mapping[str, str] | None = None,
    ) -> _Named:
        """With the lines of a table."""
        lines: dict[str, int] = {}
        for key, line in zip(keys, table.lines, strict=True):
            if key:
                lines.setdefault(key, line)
        return cls(keys, lines, reasons or {}, several or {})


def _listed(cohort: Cohort) -> set[str]:
    return {path for path in cohort.table["path"] if isinstance(path, str)}


def _without(cohort: Cohort, out: pd.Series, left_out: Counter[str]) -> Cohort:
    table = cohort.table[~out].reset_index(drop=True)
    missing = {image: reason for image, reason in cohort.missing.items() if image in set(table["image"])}
    return replace(cohort, table=table, missing=missing, left_out=dict(left_out))
