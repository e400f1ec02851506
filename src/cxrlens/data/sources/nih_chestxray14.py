"""NIH ChestX-ray14 (Wang et al. 2017, arXiv:1705.02315), as published: `Data_Entry_2017*.csv` and `images*/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxrlens.data.cohort import COLUMNS, Cohort
from cxrlens.data.demographics import read_columns
from cxrlens.data.files import find_data_dir, list_files
from cxrlens.data.findings import Negative, check_occur, label_of
from cxrlens.data.listed import listed_cohort, select_rows, view_reason
from cxrlens.data.sources import SOURCES, Source
from cxrlens.data.tables import extras, read_table
from cxrlens.errors import UserError

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
NO_FINDING = "No Finding"
USED = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "Patient Sex", "View Position")


@SOURCES.register("nih_chestxray14")
class NihChestXray14(Source):
    """NIH's release or a part of it.

    Attributes:
        positive: findings of the positive class; an image is positive if any of its findings is one of them.
        negative: findings of the negative class, or "rest" for all others; an image is negative if all of its findings
            are among them.
        views: view positions to keep; empty keeps all.
    """

    positive: tuple[str, ...] = ("Pneumonia",)
    negative: Negative = (NO_FINDING,)
    views: tuple[str, ...] = ("PA", "AP")

    def cohort(self, data_dir: Path | None) -> Cohort:
        """Lists the images in the order of NIH's table, with one further column for each finding (1 or 0)."""
        data_dir = find_data_dir(
            data_dir,
            ("Data_Entry_2017*.csv*", "images*"),
            "Data_Entry_2017*.csv and images/ (or images_001/images/, ...)",
        )
        tables = sorted({*data_dir.glob("Data_Entry_2017*.csv"), *data_dir.glob("Data_Entry_2017*.csv.gz")})
        if not tables:
            raise UserError(f"{data_dir} holds no Data_Entry_2017*.csv (or .csv.gz)")
        if len(tables) > 1:
            raise UserError(f"{data_dir} holds {', '.join(path.name for path in tables)}; keep one of them")
        table = read_table(tables[0], ("Image Index", "Finding Labels", "Patient ID", "View Position"))
        check_occur(
            {"views": self.views},
            {*table.rows["View Position"], "PA", "AP"},
            f"the column View Position of {table.path}",
        )
        findings = [self._findings(cell) for cell in table.rows["Finding Labels"]]
        known = {*FINDINGS, NO_FINDING, *(name for names in findings for name in names)}
        negative = () if self.negative == "rest" else self.negative
        check_occur(
            {"positive": self.positive, "negative": negative}, known, f"the column Finding Labels of {table.path}"
        )
        row_labels = (label_of(names, self.positive, self.negative) for names in findings)
        selected, labels, left_out = select_rows(
            (label, view_reason(self.views, view) or reason)
            for (label, reason), view in zip(row_labels, table.rows["View Position"], strict=True)
        )
        chosen = table.rows.iloc[selected]
        sex_column = next((name for name in ("Patient Gender", "Patient Sex") if name in chosen), None)
        columns_of = {"patient": "Patient ID", "sex": sex_column, "age": "Patient Age"}
        columns, warnings = read_columns(
            {name: chosen[column].tolist() for name, column in columns_of.items() if column in chosen}
        )
        cells: dict[str, Sequence[object]] = {
            **columns,
            "label": [*labels],
            "finding": chosen["Finding Labels"].tolist(),
            "view": chosen["View Position"].tolist(),
            "source": ["NIH Clinical Center"] * len(selected),
            **{
                name: [float(name in findings[row]) if findings[row] else float("nan") for row in selected]
                for name in FINDINGS
            },
            **extras(chosen, USED, (*COLUMNS, *FINDINGS)),
        }
        files = list_files(data_dir, self._folders(data_dir))
        return listed_cohort(
            "nih_chestxray14", table, "Image Index", cells, selected, files, left_out, data_dir, warnings=warnings
        )

    @staticmethod
    def _findings(cell: str) -> list[str]:
        return [name.strip() for name in cell.split("|") if name.strip()]

    @staticmethod
    def _folders(data_dir: Path) -> list[str]:
        """`images/`, or NIH's twelve parts `images_001/images/` ..., with or without the inner folder."""
        folders = [folder for folder in sorted(data_dir.glob("images*")) if folder.is_dir()]
        return [f"{folder.name}/images" if (folder / "images").is_dir() else folder.name for folder in folders]
