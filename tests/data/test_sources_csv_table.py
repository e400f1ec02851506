"""A table of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cxrlens.config import parse
from cxrlens.data.sources.csv_table import CsvTable
from cxrlens.errors import UserError


def build(root: Path, text: str, folder: str = ".") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "list.csv").write_text(text)
    for name in ("a.png", "b.png", "c.png"):
        Image.effect_noise((70, 70), ord(name[0])).save(root / folder / name)
    return root


def test_a_semicolon_table_with_named_columns(tmp_path: Path) -> None:
    text = "file;dx;subject;ward;age\nb.png;TB;p1;ICU;61\na.png;healthy;p2;ER;\nc.png;;p1;ER;40\n"
    source = CsvTable(
        table="list.csv",
        image="file",
        label="dx",
        patient="subject",
        positive=("tb",),
        negative=("Healthy",),
        images="pics",
        columns={"site": "ward", "finding": "dx"},
    )
    cohort = source.cohort(build(tmp_path, text, "pics"))
    assert cohort.images == ["b.png", "a.png", "c.png"]
    assert cohort.table["label"].tolist()[:2] == [1, 0] and cohort.table["label"].isna().tolist()[2]
    assert cohort.table["patient"].tolist() == ["p1", "p2", "p1"]
    assert cohort.table["site"].tolist() == ["ICU", "ER", "ER"]
    assert cohort.table["finding"].tolist()[:2] == ["TB", "healthy"]
    assert cohort.table["age"].tolist()[0] == 61
    assert cohort.table["path"].tolist() == ["pics/b.png", "pics/a.png", "pics/c.png"]


@pytest.mark.parametrize(("one", "zero"), [("1", "0"), ("1.0", "0.0"), ("True", "FALSE"), ("yes", "No")])
def test_the_usual_ways_to_write_two_classes_are_known(tmp_path: Path, one: str, zero: str) -> None:
    cohort = CsvTable(table="list.csv").cohort(build(tmp_path, f"image,label\na.png,{one}\nb.png,{zero}\n"))
    assert cohort.table["label"].tolist() == [1, 0]
    assert cohort.table["patient"].tolist() == ["a.png", "b.png"]
    assert cohort.unlisted == ("c.png",)


def test_a_column_called_patient_is_used_unasked(tmp_path: Path) -> None:
    cohort = CsvTable(table="list.csv").cohort(build(tmp_path, "image,label,patient\na.png,1,p\nb.png,0,p\n"))
    assert cohort.table["patient"].tolist() == ["p", "p"]


def test_another_label_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list.csv line 3: 'maybe' in the column label is neither class"):
        CsvTable(table="list.csv").cohort(build(tmp_path, "image,label\na.png,1\nb.png,maybe\n"))


def test_numbers_in_the_study_file_may_be_the_values(tmp_path: Path) -> None:
    source = parse(CsvTable, {"table": "list.csv", "positive": [2], "negative": [1]}, "[data]")
    assert source.cohort(build(tmp_path, "image,label\na.png,2\nb.png,1\n")).table["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"table": "lst.csv"}, "cannot read the table"),
        ({"table": "../list.csv"}, "leads out"),
        ({"image": "imagge"}, r"no column 'imagge' \(is it 'image'\?\)"),
        ({"patient": "subject"}, "no column 'subject'"),
        ({"images": "pics"}, "no folder"),
        ({"positive": ("1",), "negative": ("1.0",)}, "under both"),
    ],
)
def test_options_that_do_not_fit_the_folder_are_explained(tmp_path: Path, options: dict, said: str) -> None:
    root = build(tmp_path, "image,label\na.png,1\nb.png,0\n")
    with pytest.raises(UserError, match=said):
        CsvTable(**{"table": "list.csv", **options}).cohort(root)


def test_an_unknown_cohort_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'site'"):
        parse(CsvTable, {"table": "t.csv", "columns": {"sit": "ward"}}, "[data]")
