"""Any table of images: a CSV (comma, semicolon or tab) with a column for the file and one for the label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from cxrlens.data.cohort import COLUMNS, Cohort
from cxrlens.data.demographics import age_in_years, sex_letter
from cxrlens.data.dicom_header import HeaderOptions, with_headers
from cxrlens.data.files import data_root, list_files, relative_name
from cxrlens.data.listed import listed_cohort
from cxrlens.data.sources import SOURCES, Source
from cxrlens.data.tables import Table, extras, read_table
from cxrlens.errors import UserError, near_miss

DESCRIPTIVE = tuple(name for name in COLUMNS if name not in ("image", "patient", "label", "path"))


def _as_texts(values: object) -> object:
    return [str(value) for value in values] if isinstance(values, list | tuple) else values


Values = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]


@SOURCES.register("csv_table")
class CsvTable(HeaderOptions, Source):
    """Images listed in a table of the user's own.

    Attributes:
        table: the file, below the data folder.
        image: the column with the file's name, relative to `images`.
        label: the column with the label; an empty cell is an unknown label.
        patient: the column with the patient. Without it, a column called `patient` is used; without that one either,
            every image is its own patient.
        positive: values of the positive class; upper and lower case are alike, and so are 1 and 1.0.
        negative: values of the negative class.
        images: the folder of the images, below the data folder.
        columns: cohort column → the table's column, for view, source, site, date, sex, age, finding, license and notes.
            A table's column of such a name is used unasked; all others are kept as they are.

    DICOM headers fill what the table does not say: patient, sex, age, view, date, site and device.
    """

    table: str
    image: str = "image"
    label: str = "label"
    patient: str | None = None
    positive: Values = ("1", "true", "yes")
    negative: Values = ("0", "false", "no")
    images: str = "."
    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _cohort_names(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in DESCRIPTIVE:
                raise ValueError(near_miss("column", name, DESCRIPTIVE))
        return columns

    def cohort(self, root: Path | None) -> Cohort:
        """Lists the images in the order of the table."""
        root = data_root(root, (), f"the table {self.table}")
        for option in (self.table, self.images):
            if option != "." and relative_name(option, root) is None:
                raise UserError(f"'{option}' leads out of {root}: refused; name a place below it")
        table = read_table(root / self.table, (), ",;\t")
        patient = self.patient or ("patient" if "patient" in table.rows else None)
        named = [self.image, self.label, *([patient] if patient else []), *self.columns.values()]
        table.need(named)
        used = {name: name for name in DESCRIPTIVE if name in table.rows and name not in named} | self.columns
        rows: dict[str, list[object]] = {
            "label": self._labels(table),
            **({"patient": [*table.rows[patient]]} if patient else {}),
            **{name: [*table.rows[column]] for name, column in used.items()},
        }
        if "sex" in rows:
            rows["sex"] = [sex_letter(str(cell)) for cell in rows["sex"]]
        if "age" in rows:
            rows["age"] = [age_in_years(str(cell)) for cell in rows["age"]]
        rows |= extras(table.rows, [*named, *used.values()], COLUMNS)
        files = list_files(root, (self.images,))
        cohort = listed_cohort(
            "csv_table", table, self.image, rows, range(len(table.rows)), files, {}, root / self.images
        )
        return with_headers(cohort, files.root, self)

    def _labels(self, table: Table) -> list[object]:
        values = {_plain(value): 0.0 for value in self.negative}
        for value in map(_plain, self.positive):
            if value in values:
                raise UserError(f"the value '{value}' is under both positive and negative; keep one")
            values[value] = 1.0
        labels: list[object] = []
        for row, cell in enumerate(table.rows[self.label]):
            if cell and _plain(cell) not in values:
                known = f"positive {', '.join(self.positive)}; negative {', '.join(self.negative)}"
                raise UserError(
                    f"{table.where(row)}: '{cell}' in the column {self.label} is neither class ({known}); "
                    f"add it to one in [data]; leave the cell empty where the label is unknown"
                )
            labels.append(values[_plain(cell)] if cell else float("nan"))
        return labels


def _plain(value: str) -> str:
    """Case and outer spaces do not matter, nor does 1 written as 1.0."""
    text = value.strip().casefold()
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
