"""Any table of images: a CSV (comma, semicolon or tab) with a column for the file and one for the label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cxrlens.data.cohort import COLUMNS, DESCRIPTIVE, Cohort
from cxrlens.data.demographics import patient_columns, read_columns
from cxrlens.data.dicom_patients import HeaderOptions, with_headers
from cxrlens.data.files import below, find_data_dir, list_files, loose_name
from cxrlens.data.findings import Negative, Values, Written, as_texts, check_occur, label_of, option_of, plain_value
from cxrlens.data.listed import kept_rows, listed_cohort, view_reason
from cxrlens.data.sources import (
    SOURCES,
    PatientPattern,
    Source,
    exclude_notes,
    excluded_by,
    pattern_patient,
    pattern_warning,
)
from cxrlens.data.tables import Table, extras, read_table
from cxrlens.errors import UserError, near_miss


@SOURCES.register("csv_table")
class CsvTable(HeaderOptions, Source):
    r"""Images listed in a table of the user's own, or of a public set (recipes: `docs/public-data.md`).

    Attributes:
        table: the file, below the data folder; `.csv.gz` is unpacked.
        image: the column with the file's name, relative to `images`. A name without its suffix, or without the folders
            above it, is found as long as only one file fits.
        label: the column with the label; an empty cell is an unknown label, unless "" is a value of a class.
        patient: the column with the patient. Without it, a column called `patient` is used; without that one either,
            every image is its own patient.
        patient_pattern: regular expression, searched in the file's name as the table writes it (folders included); the
            first group that takes part is the patient, such as `patient(\d+)/`.
        positive: values of the positive class; upper and lower case are alike, and so are 1 and 1.0.
        negative: values of the negative class; "rest" is every other value.
        left_out: values whose images are left out and counted.
        separator: what parts several labels in one cell, such as "|". An image is positive if any of its labels is,
            negative if all are; the others are left out and counted.
        join_rows: several rows may name one image (a row a box or a finding): their labels count as labels of one cell.
        views: the views kept, as the column for `view` writes them; empty keeps all.
        images: the folder of the images, below the data folder.
        suffix: of the files, where names in the table are without and several files fit.
        exclude: glob patterns of names that are left out, such as "*/lateral/*"; `*` goes across folders.
        columns: cohort column → the table's column, for view, source, site, date, sex, age, finding, license and notes.
            A table's column of such a name is used unasked; all others are kept as they are.
        more_table: a second table whose columns are added, such as labels by study; below the data folder.
        more_on: the columns that say which of its rows belongs to a row of `table`.

    DICOM headers fill what the table does not say: patient, sex, age, view, date, site and device.
    """

    table: str
    image: str = "image"
    label: str = "label"
    patient: str | None = None
    patient_pattern: PatientPattern | None = None
    positive: Values = ("1", "true", "yes")
    negative: Annotated[Negative, BeforeValidator(as_texts, json_schema_input_type=Literal["rest"] | Written)] = (
        "0", "false", "no",
    )  # fmt: skip
    left_out: Values = ()
    separator: str | None = Field(default=None, min_length=1)
    join_rows: bool = False
    views: tuple[str, ...] = ()
    images: str = "."
    suffix: str = ""
    exclude: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    more_table: str | None = None
    more_on: tuple[str, ...] = ()

    @field_validator("columns")
    @classmethod
    def _cohort_names(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in DESCRIPTIVE:
                raise ValueError(near_miss("column", name, DESCRIPTIVE))
        return columns

    @model_validator(mode="after")
    def _fit_together(self) -> CsvTable:
        if self.patient is not None and self.patient_pattern is not None:
            raise ValueError("give patient (a column) or patient_pattern (of the file's name), not both")
        if (self.more_table is None) != (not self.more_on):
            raise ValueError("more_table and more_on go together: the second table and the columns that both have")
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images in the order of the table."""
        data_dir = find_data_dir(data_dir, (), f"the table {self.table}")
        if self.images != ".":
            below(data_dir, self.images)
        own, more = below(data_dir, self.table), None if self.more_table is None else below(data_dir, self.more_table)
        table = read_table(data_dir / own)
        unmatched: tuple[int, ...] = ()
        told: list[str] = []
        if more is not None:
            own_label = self.label in table.rows
            table = table.joined(read_table(data_dir / more), self.more_on)
            unmatched, alone = () if own_label else table.unmatched, table.unmatched
            if alone:
                told.append(
                    f"{len(alone)} of {len(table.rows)} rows of {table.path.name} have no row in {self.more_table} "
                    f"(first: line {table.lines[alone[0]]}): what it says is unknown there"
                    f"{', the label too' if unmatched else ''}"
                )
        by_name = "patient" if "patient" in table.rows and self.patient_pattern is None else None
        patient = self.patient or by_name
        named = [self.image, self.label, *([patient] if patient else []), *self.columns.values()]
        table.need(named)
        used = {name: name for name in DESCRIPTIVE if name in table.rows and name not in named} | self.columns
        names = table.rows[self.image].tolist()
        patients: list[str | None] = []
        if self.patient_pattern is not None:
            patients = [pattern_patient(self.patient_pattern, [name.replace("\\", "/")]) for name in names]
        views = table.rows[self._view_column(table, used)].tolist() if self.views else []
        excluded = [excluded_by(self.exclude, name) for name in names]
        left = [f"excluded by '{pattern}'" if pattern is not None else "" for pattern in excluded]
        if self.views:
            left = [reason or view_reason(self.views, view) for reason, view in zip(left, views, strict=True)]
        judged = zip(left, self._labels(table, unmatched), strict=True)
        kept, labels, left_out = kept_rows((label, first or reason) for first, (label, reason) in judged)
        chosen = table.rows.iloc[kept]
        asked = {name: used[name] for name in ("sex", "age") if name in used}
        asked |= {"patient": patient} if patient else {}
        columns, odd = read_columns({name: chosen[column].tolist() for name, column in asked.items()})
        rows: dict[str, list[object]] = {
            "label": [*labels],
            **({"patient": [patients[row] for row in kept]} if patients else {}),
            **{name: [*chosen[column]] for name, column in used.items()},
            **columns,
            **extras(chosen, [*named, *used.values()], COLUMNS),
        }
        told += odd
        if self.patient_pattern is not None:
            fitted = [patients[row] for row in kept]
            told += pattern_warning(
                self.patient_pattern, fitted, f"name; the first is '{names[kept[0]] if kept else ''}'"
            )
        files = list_files(data_dir, (self.images,))
        base = data_dir / self.images
        if patient is None and self.patient_pattern is None:
            told += _unused_patient(table)
        cohort = listed_cohort(
            "csv_table", table, self.image, rows, kept, files, left_out, base, suffix=self.suffix, warnings=told
        )
        others = tuple(path for path in cohort.other_files if path != more)
        cohort = replace(cohort, notes=exclude_notes(self.exclude, excluded), other_files=others)
        return with_headers(cohort, files.data_dir, self)

    def _view_column(self, table: Table, used: dict[str, str]) -> str:
        if "view" not in used:
            raise UserError(
                f'views needs to know the column that says the view: columns = {{ view = "NAME" }}; '
                f"{table.path.name} has: {', '.join(map(str, table.rows.columns))}"
            )
        column = used["view"]
        check_occur({"views": self.views}, {*table.rows[column]}, f"the column {column} of {table.path}")
        return column

    def _labels(self, table: Table, unmatched: Iterable[int]) -> list[tuple[float, str]]:
        """Every row's label, and "" or why the study leaves it out.

        Args:
            table: with the column of labels.
            unmatched: rows whose label nobody states; a blank that counts as a class is not theirs.
        """
        classes = {"positive": self.positive, "negative": self.negative, "left_out": self.left_out}
        plain = {
            option: {plain_value(value): value for value in values}
            for option, values in classes.items()
            if values != "rest"
        }
        seen = option_of(plain)
        negative = "rest" if self.negative == "rest" else tuple(plain["negative"])
        cells = [self._parts(cell) for cell in table.rows[self.label]]
        for row in unmatched:
            cells[row] = []
        written = {plain_value(part): part for parts in cells for part in parts}
        several = self.separator is not None or self.join_rows
        if several or negative == "rest":  # no value is unknown there, so that a slip of the pen shows only here
            asked = {
                option: [value for key, value in values.items() if key]
                for option, values in plain.items()
                if option in self.model_fields_set
            }
            known = {value for values in plain.values() for key, value in values.items() if key in written}
            where = f"the column {self.label} of {table.path}"
            check_occur(asked, {*known, *written.values()}, where)
        else:
            self._need_known(table, cells, seen)
        if self.join_rows:
            joined: dict[str, list[str]] = {}
            names = [loose_name(name.removesuffix(self.suffix) + self.suffix) for name in table.rows[self.image]]
            for name, parts in zip(names, cells, strict=True):
                joined.setdefault(name, []).extend(parts)
            cells = [joined[name] for name in names]
        labels = []
        for parts in cells:
            # a part's own spelling is for the reason alone
            label, reason = label_of(
                [*map(plain_value, parts)], tuple(plain["positive"]), negative, tuple(plain["left_out"]), ""
            )
            value = reason.strip()
            labels.append((label, f"{self.label} {written.get(value, value) or 'empty'}" if reason else ""))
        return labels

    def _parts(self, cell: str) -> list[str]:
        """The labels of a cell; of an empty one "" where the study says what that means, else none."""
        parts = [cell]
        if self.separator is not None:  # a list as Python writes it is read too: ['a', 'b']
            parts = [part.strip(" \t'\"[]") for part in cell.split(self.separator)]
        given = (self.positive, () if self.negative == "rest" else self.negative, self.left_out)
        if not any(parts) and any(value.strip() == "" for values in given for value in values):
            return [""]
        return [part for part in parts if part]

    def _need_known(self, table: Table, cells: list[list[str]], seen: dict[str, str]) -> None:
        for row, parts in enumerate(cells):
            for part in parts:
                if plain_value(part) not in seen:
                    known = "; ".join(
                        f"{option} {', '.join(values)}"
                        for option, values in (("positive", self.positive), ("negative", self.negative))
                    )
                    mark = next((mark for mark in "|;," if mark in part), None)
                    joined = f" (are several labels joined in it? Then: separator = '{mark}')" if mark else ""
                    raise UserError(
                        f"{table.where(row)}: '{part}' in the column {self.label} is neither class ({known}); "
                        f"add it to one in [data], or to left_out{joined}; "
                        f"leave the cell empty where the label is unknown"
                    )


def _unused_patient(table: Table) -> list[str]:
    """A sentence where a column is called as patients' ids are and the study does not name it."""
    called = next(iter(patient_columns(table.rows.columns)), None)
    return [f'the column {called} may say the patient: patient = "{called}" in [data] uses it'] if called else []
