"""Any CSV table of images, with a column for the file and a column for the label."""

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
from cxrlens.data.listed import listed_cohort, select_rows, view_reason
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
    r"""Images of a CSV table with commas, semicolons or tabs (recipes for public data sets: `docs/public-data.md`).

    Attributes:
        table: table file, below the data folder; `.csv.gz` is unpacked.
        image: column with the file name, relative to `images`. The suffix, or folders above the file, may be missing
            if only one file matches.
        label: column with the label; an empty cell is an unknown label, unless "" is a value of a class.
        patient: column with the patient. Without this option, a column called `patient` is used; without such a
            column, each image counts as a patient of its own.
        patient_pattern: regular expression, such as `patient(\d+)/`, searched in the file name as the table writes it
            (folders included); the first group that takes part in the match is the patient.
        positive: values of the positive class; upper and lower case are equal, and so are 1 and 1.0.
        negative: values of the negative class; "rest" means all other values.
        left_out: values whose images are left out and counted.
        separator: text between several labels in a cell, such as "|". An image is positive if any of its labels is,
            and negative if all are; other images are left out and counted.
        join_rows: whether several rows may name one image (one row per box or finding); their labels are joined as
            labels of one cell.
        views: views to keep, as in the column for `view`; empty keeps all.
        images: folder of the images, below the data folder.
        suffix: suffix of the image files, needed if the table omits it and several files match.
        exclude: glob patterns of names to leave out, such as "*/lateral/*"; `*` also matches "/".
        columns: cohort column → column of the table, for view, source, site, date, sex, age, finding, license and
            notes. A column of the table with such a name is used without this option; other columns are kept.
        more_table: second table whose columns are added, such as labels by study; below the data folder.
        more_on: columns that match the rows of `more_table` with those of `table`.

    DICOM headers fill empty cells of patient, sex, age, view, date, site and device.
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
            raise ValueError("give patient (a column) or patient_pattern (for the file name), not both")
        if (self.more_table is None) != (not self.more_on):
            raise ValueError("give both more_table (a second table) and more_on (columns of both tables), or neither")
        return self

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images in the order of the table."""
        data_dir = find_data_dir(data_dir, (), f"the table {self.table}")
        if self.images != ".":
            below(data_dir, self.images)
        own, more = below(data_dir, self.table), None if self.more_table is None else below(data_dir, self.more_table)
        table = read_table(data_dir / own)
        unlabelled: tuple[int, ...] = ()
        warnings: list[str] = []
        if more is not None:
            own_label = self.label in table.rows
            table = table.joined(read_table(data_dir / more), self.more_on)
            unlabelled = () if own_label else table.unmatched
            if table.unmatched:
                warnings.append(
                    f"{len(table.unmatched)} of {len(table.rows)} rows of {table.path.name} have no row in "
                    f"{self.more_table} (first: line {table.lines[table.unmatched[0]]}): what it says is unknown there"
                    f"{', the label too' if unlabelled else ''}"
                )
        default = "patient" if "patient" in table.rows and self.patient_pattern is None else None
        patient = self.patient or default
        named = [self.image, self.label, *([patient] if patient else []), *self.columns.values()]
        table.need(named)
        used = {name: name for name in DESCRIPTIVE if name in table.rows and name not in named} | self.columns
        names = table.rows[self.image].tolist()
        patients: list[str | None] = []
        if self.patient_pattern is not None:
            patients = [pattern_patient(self.patient_pattern, [name.replace("\\", "/")]) for name in names]
        views = table.rows[self._view_column(table, used)].tolist() if self.views else []
        excluded = [excluded_by(self.exclude, name) for name in names]
        reasons = [f"excluded by '{pattern}'" if pattern is not None else "" for pattern in excluded]
        if self.views:
            reasons = [reason or view_reason(self.views, view) for reason, view in zip(reasons, views, strict=True)]
        row_labels = zip(reasons, self._labels(table, unlabelled), strict=True)
        selected, labels, left_out = select_rows((label, first or reason) for first, (label, reason) in row_labels)
        chosen = table.rows.iloc[selected]
        columns_of = {name: used[name] for name in ("sex", "age") if name in used}
        columns_of |= {"patient": patient} if patient else {}
        columns, unread = read_columns({name: chosen[column].tolist() for name, column in columns_of.items()})
        rows: dict[str, list[object]] = {
            "label": [*labels],
            **({"patient": [patients[row] for row in selected]} if patients else {}),
            **{name: [*chosen[column]] for name, column in used.items()},
            **columns,
            **extras(chosen, [*named, *used.values()], COLUMNS),
        }
        warnings += unread
        if self.patient_pattern is not None:
            selected_patients = [patients[row] for row in selected]
            warnings += pattern_warning(
                self.patient_pattern,
                selected_patients,
                f"name; the first is '{names[selected[0]] if selected else ''}'",
            )
        files = list_files(data_dir, (self.images,))
        base = data_dir / self.images
        if patient is None and self.patient_pattern is None:
            warnings += _unused_patient(table)
        cohort = listed_cohort(
            "csv_table", table, self.image, rows, selected, files, left_out, base, suffix=self.suffix, warnings=warnings
        )
        others = tuple(path for path in cohort.other_files if path != more)
        cohort = replace(cohort, notes=exclude_notes(self.exclude, excluded), other_files=others)
        return with_headers(cohort, files.data_dir, self)

    def _view_column(self, table: Table, used: dict[str, str]) -> str:
        if "view" not in used:
            raise UserError(
                f'views needs the column with the view: write columns = {{ view = "NAME" }}; '
                f"{table.path.name} has: {', '.join(map(str, table.rows.columns))}"
            )
        column = used["view"]
        check_occur({"views": self.views}, {*table.rows[column]}, f"the column {column} of {table.path}")
        return column

    def _labels(self, table: Table, unlabelled: Iterable[int]) -> list[tuple[float, str]]:
        """The label of each row, and why the study leaves the row out ("" where it is selected).

        Args:
            table: table with the column of labels.
            unlabelled: rows without a row in `more_table`; their label is unknown even if "" is a value of a class.
        """
        classes = {"positive": self.positive, "negative": self.negative, "left_out": self.left_out}
        plain = {
            option: {plain_value(value): value for value in values}
            for option, values in classes.items()
            if values != "rest"
        }
        options = option_of(plain)
        negative = "rest" if self.negative == "rest" else tuple(plain["negative"])
        cells = [self._parts(cell) for cell in table.rows[self.label]]
        for row in unlabelled:
            cells[row] = []
        written = {plain_value(part): part for parts in cells for part in parts}
        several = self.separator is not None or self.join_rows
        if several or negative == "rest":  # such cells are not checked, so a typing error shows only here
            stated = {
                option: [value for key, value in values.items() if key]
                for option, values in plain.items()
                if option in self.model_fields_set
            }
            occurring = {value for values in plain.values() for key, value in values.items() if key in written}
            where = f"the column {self.label} of {table.path}"
            check_occur(stated, {*occurring, *written.values()}, where)
        else:
            self._check_values(table, cells, options)
        if self.join_rows:
            joined: dict[str, list[str]] = {}
            names = [loose_name(name.removesuffix(self.suffix) + self.suffix) for name in table.rows[self.image]]
            for name, parts in zip(names, cells, strict=True):
                joined.setdefault(name, []).extend(parts)
            cells = [joined[name] for name in names]
        labels = []
        for parts in cells:
            # the reason shows a part as it is written
            label, reason = label_of(
                [*map(plain_value, parts)], tuple(plain["positive"]), negative, tuple(plain["left_out"]), ""
            )
            value = reason.strip()
            labels.append((label, f"{self.label} {written.get(value, value) or 'empty'}" if reason else ""))
        return labels

    def _parts(self, cell: str) -> list[str]:
        """The labels of a cell; an empty cell has the label "" if that is a value of a class, else none."""
        parts = [cell]
        if self.separator is not None:  # a list as Python writes it is read too: ['a', 'b']
            parts = [part.strip(" \t'\"[]") for part in cell.split(self.separator)]
        classes = (self.positive, () if self.negative == "rest" else self.negative, self.left_out)
        if not any(parts) and any(value.strip() == "" for values in classes for value in values):
            return [""]
        return [part for part in parts if part]

    def _check_values(self, table: Table, cells: list[list[str]], options: dict[str, str]) -> None:
        """Raises `UserError` for a label that no class lists."""
        for row, parts in enumerate(cells):
            for part in parts:
                if plain_value(part) not in options:
                    classes = "; ".join(
                        f"{option} {', '.join(values)}"
                        for option, values in (("positive", self.positive), ("negative", self.negative))
                    )
                    mark = next((mark for mark in "|;," if mark in part), None)
                    hint = f" (if it holds several labels, write separator = '{mark}')" if mark else ""
                    raise UserError(
                        f"{table.where(row)}: '{part}' in the column {self.label} belongs to no class ({classes}); "
                        f"add it to a class or to left_out in [data]{hint}; "
                        f"leave the cell empty if the label is unknown"
                    )


def _unused_patient(table: Table) -> list[str]:
    """A warning on a column that the study does not use although its name is a usual one for patient ids."""
    column = next(iter(patient_columns(table.rows.columns)), None)
    return [f'the column {column} may say the patient: patient = "{column}" in [data] uses it'] if column else []
