"""A folder of DICOM files, as an archive exports them.

Patient, sex, age, view, date, site and device come from the headers (`data/dicom_header.py`). Files that are not
frontal chest radiographs by their header are left out and counted. The label comes from class folders or from a table.
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
from cxrlens.data.dicom_header import Header, read_headers, refusal_counts
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
USUAL_NAMES = {
    "file": ("file", "filename", "filepath", "path", "image", "imageid", "dicom", "dicomid", "id"),
    "SOPInstanceUID": ("sopinstanceuid", "instanceuid", "imageuid"),
    "StudyInstanceUID": ("studyinstanceuid", "studyuid", "studyid"),
    "AccessionNumber": ("accessionnumber", "accession", "accessionno"),
    "PatientID": ("patientid", "patient", "pid", "mrn"),
}
"""Usual names of the columns for each `Match`, in lower case without punctuation."""

NOT_A_CHEST, NOT_USABLE, NOT_LISTED = "not a frontal chest X-ray", "cannot be used", "its label is not known"
"""Origins of reasons to leave out a file that are not options of the study."""


@SOURCES.register("dicom_folder")
class DicomFolder(ImageFolder):
    r"""DICOM files anywhere below a folder, with or without a suffix.

    Attributes:
        positive: folders of the positive class, as in `image_folder`; with a table, values of the positive class (1,
            true and yes by default).
        negative: folders of the negative class; with a table, values of the negative class (0, false and no by
            default).
        patient_pattern: regular expression for the patient, as in `image_folder`; it takes precedence over the
            header's PatientID.
        table: CSV file with the labels, below the data folder. Its columns patient, sex, age, view, date, site, source,
            finding, license and notes take precedence over the header. Other columns are kept, except those with a
            usual name for patient ids.
        match: what a row of the table names: a file (path, name, or name without suffix), an image or a study (by UID),
            an order (by accession number) or a patient. A row of a study or a patient labels all of its images.
        column: column of the table that names it; by default a column with a usual name.
        label: column of the table with the label; an empty cell is an unknown label.
        views: views to keep, such as "PA" and "AP"; empty keeps all frontal views, including unstated ones.
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
            raise ValueError(f"{', '.join(sorted(of_table))}: only for labels from a table; give table as well")
        shared = {"positive", "negative", "patient_pattern", "patient_ids", "salt", "most_missing"}
        of_folders = self.model_fields_set & ImageFolder.model_fields.keys() - shared
        if self.table is not None and of_folders:
            raise ValueError(
                f"{', '.join(sorted(of_folders))}: only for class folders, but the labels come from a table"
            )
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images by path; `image` is the path below the data folder."""
        if self.table is None:
            cohort = super().cohort(data_dir)
            return replace(cohort, name="dicom_folder")
        data_dir = find_data_dir(data_dir, (), f"DICOM files and the table {self.table}")
        own = below(data_dir, self.table)
        table = read_table(data_dir / own)
        files = list_files(data_dir)
        first_paths: dict[str, str] = {}  # file → the first of its paths
        for path in sorted(files.paths, key=lambda path: path in files.targets):  # a file before its links
            if path != own and path not in files.refused and not is_hidden(path):
                first_paths.setdefault(files.same_file(path), path)
        headers = read_headers(data_dir, sorted(first_paths.values()))
        if not headers:
            raise UserError(f"{data_dir} holds no DICOM file (among {many(len(files.paths), 'file')})")
        return self._labelled(data_dir, table, own, files, headers)

    def _with_headers(self, cohort: Cohort, data_dir: Path) -> Cohort:
        headers = read_headers(data_dir, [path for path in cohort.table["path"] if isinstance(path, str)])
        return self._selected(cohort, data_dir, headers)

    def _selected(self, cohort: Cohort, data_dir: Path, headers: Mapping[str, Header | str]) -> Cohort:
        """Fills the table, and leaves out files that are not DICOM, not a frontal chest X-ray or of another view."""
        by_header = refusal_counts({path: headers[path] for path in _listed(cohort) & headers.keys()})
        left_out = Counter(cohort.left_out) + by_header
        origins = cohort.origins | dict.fromkeys(by_header, NOT_A_CHEST)
        refused = {path for path, header in headers.items() if isinstance(header, Header) and header.refused}
        no_dicom = _listed(cohort) - headers.keys()
        if no_dicom:
            left_out["no DICOM"] = len(no_dicom)
            origins["no DICOM"] = NOT_USABLE
        excluded = refused | no_dicom
        cohort = _without(replace(cohort, origins=origins), cohort.table["path"].isin(list(excluded)), left_out)
        of_cohort = {path: header for path, header in headers.items() if path in _listed(cohort)}
        cohort = with_headers(cohort, data_dir, self, of_cohort)
        if self.views:
            views = {view.casefold() for view in self.views}
            stated = [(view or "not stated") for view in cohort.table["view"]]
            other = pd.Series([view.casefold() not in views for view in stated], index=cohort.table.index)
            left_out.update(f"view {view}" for view, out in zip(stated, other, strict=True) if out)
            cohort = _without(cohort, other, left_out)
        if not len(cohort):
            reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common(5))
            raise UserError(f"{data_dir}: no image is left for the study: {reasons}")
        return cohort

    def _labelled(
        self, data_dir: Path, table: Table, own: str, files: Files, headers: Mapping[str, Header | str]
    ) -> Cohort:
        column = self._column(table)
        table.need([column, self.label])
        links = [path for path in files.targets if files.same_file(path) in headers and path not in headers]
        named = self._named(table, column, files.only([*headers, *links]), data_dir)
        rows, warnings = self._rows(table, column, named)
        matched, left_out, used = [], Counter[str](), set[str]()
        origins: dict[str, str] = {}
        for path in sorted(headers):
            key = files.same_file(path) if self.match == "file" else self._key(headers[path])
            if key in rows:
                matched.append({"image": path, **rows[key]})
                used.add(key)
                continue
            reason, origin = self._unmatched(headers[path])
            if path in named.several:
                used.add(named.several[path])
                reason = f"the table names '{PurePosixPath(path).name}', as several files are called"
                origin = NOT_LISTED
            left_out[reason] += 1
            origins[reason] = origin
        if not matched:
            reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common(3))
            raise UserError(
                f"{table.path}: the column {column} names no DICOM file by {self.match}: {reasons}; state with match "
                "and column what a row names"
            )
        if self.patient_pattern is not None:
            patients = {path: self._patient(PurePosixPath(path).parts[:-1], path) for path in headers}
            patients = {row["image"]: patients[row["image"]] for row in matched}
            warnings += self._pattern_warning(self.patient_pattern, patients)
            matched = [row | ({"patient": patient} if (patient := patients[row["image"]]) else {}) for row in matched]
        frame = cohort_table(pd.DataFrame(matched))
        frame["path"] = frame["image"].astype(object)
        faults = self._unused(table, column, named, used)
        warnings += faults
        if links:
            left_out[COPIES] = len(links)
            origins[COPIES] = "counted once"
        refused = [path for path in files.refused if looks_like_image(path)]
        left_out.update(files.refused[path] for path in refused)
        origins |= dict.fromkeys((files.refused[path] for path in refused), NOT_USABLE)
        listed = [*headers, *links, *refused, own]  # files that the table or a header leaves out are counted already
        cohort = Cohort(
            "dicom_folder", frame, partial(read_below, data_dir), {}, dict(left_out),
            files.unlisted(listed), files.others(listed), tuple(warnings), origins,
            data_dir=data_dir,
            faults=tuple(faults) if self.match == "file" else (),  # a table of studies may cover more than this folder
        )  # fmt: skip
        return self._selected(cohort, data_dir, {path: headers[path] for path in frame["image"]})

    def _unused(self, table: Table, column: str, named: _Named, used: set[str]) -> list[str]:
        """The warning on rows that name no file; it shows file names, but no ids of patients, orders or studies."""
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

    def _unmatched(self, header: Header | str) -> tuple[str, str]:
        """The reason why no row of the table names a file, and the origin of this reason."""
        if isinstance(header, str):
            return "header cannot be read", NOT_USABLE
        if self.match != "file" and not self._key(header):
            return f"no {self.match} in the header", NOT_LISTED
        return f"no row in the table{'' if self.match == 'file' else f' with their {self.match}'}", NOT_LISTED

    def _column(self, table: Table) -> str:
        if self.column is not None:
            return self.column
        columns = {re.sub(r"[\W_]", "", str(name)).casefold(): str(name) for name in table.rows.columns}
        usual = next((columns[name] for name in USUAL_NAMES[self.match] if name in columns), None)
        if usual is None:
            names = ", ".join(map(str, table.rows.columns))
            raise UserError(
                f"{table.path} line 1: no column has a usual name for the {self.match}; set column in [data]; "
                f"columns found: {names}"
            )
        return usual

    def _key(self, header: Header | str) -> str:
        """The value of a row that names an image, from its header; "" where it is unknown."""
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
        row_files = find_rows(table, cells, files, data_dir)
        reasons = {file.file_id: f" ({file.reason})" for file in row_files if file.reason != "no such file"}
        several = {path: file.file_id for file in row_files for path in file.several}
        return _Named.of(table, [file.file_id for file in row_files], reasons, several)

    def _rows(self, table: Table, column: str, named: _Named) -> tuple[dict[str, dict[str, object]], list[str]]:
        """The cohort's columns by key, and warnings on cells that cannot be read.

        Several rows of a key (such as one row per box) must have the same label.

        Returns:
            Key of `named` → column → value, and the warnings.

        Raises:
            UserError: a label belongs to no class, or a key has two labels; the message names the lines.
        """
        labels = self._labels(table)
        taken = [column, self.label]
        used = [name for name in DESCRIPTIVE if name in table.rows and name not in taken]
        cells: dict[str, list[object]] = {name: [*table.rows[name]] for name in used}
        demographics = [name for name in ("patient", "sex", "age") if name in table.rows and name not in taken]
        columns, warnings = read_columns({name: table.rows[name].tolist() for name in demographics})
        cells |= columns
        ids = [name for name in patient_columns(table.rows.columns) if name not in (*taken, "patient")]
        warnings += [
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
                    f"{table.path.name}: lines {named.lines[key]} and {table.lines[row]} give the same {self.match} "
                    "two labels; keep one"
                )
            for name, value in record.items():
                if first[name] != value:
                    first[name] = None  # the rows of the key differ
        return rows, warnings

    def _labels(self, table: Table) -> list[float]:
        positive, negative = self.positive or ("1", "true", "yes"), self.negative or ("0", "false", "no")
        options = {"positive": map(plain_value, positive), "negative": map(plain_value, negative)}
        values = {value: float(option == "positive") for value, option in option_of(options).items()}
        labels = []
        for row, cell in enumerate(table.rows[self.label].tolist()):
            if cell and plain_value(cell) not in values:
                classes = f"positive {', '.join(positive)}; negative {', '.join(negative)}"
                raise UserError(
                    f"{table.where(row)}: '{cell}' in the column {self.label} belongs to no class ({classes}); add "
                    "it to a class in [data]; leave the cell empty if the label is unknown"
                )
            labels.append(values[plain_value(cell)] if cell else float("nan"))
        return labels


@dataclass(frozen=True)
class _Named:
    """What the rows of a table name.

    Attributes:
        keys: key of each row, such as an identifier of its file; "" where a row names nothing.
        lines: key → first line of the table with this key.
        reasons: key → why there is no file, in brackets; only where there is more to say than that it is absent.
        several: path of a file that shares its name with others → key of a row with this name.
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
        """Builds the keys with the lines of a table."""
        lines: dict[str, int] = {}
        for key, line in zip(keys, table.lines, strict=True):
            if key:
                lines.setdefault(key, line)
        return cls(keys, lines, reasons or {}, several or {})


def _listed(cohort: Cohort) -> set[str]:
    return {path for path in cohort.table["path"] if isinstance(path, str)}


def _without(cohort: Cohort, excluded: pd.Series, left_out: Counter[str]) -> Cohort:
    table = cohort.table[~excluded].reset_index(drop=True)
    missing = {image: reason for image, reason in cohort.missing.items() if image in set(table["image"])}
    return replace(cohort, table=table, missing=missing, left_out=dict(left_out))
