"""The COVID-19 image data collection: the paper's cohort, and what a study may choose."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from cxrlens.config import parse
from cxrlens.data.sources.covid_chestxray import CovidChestXray
from cxrlens.errors import UserError

HEADER = ["patientid", "offset", "sex", "age", "finding", "view", "modality", "date", "location", "folder", "filename"]
HEADER += ["doi", "url", "license", "clinical_notes", "other_notes", ""]


def row(
    filename: str, finding: str = "COVID-19", view: str = "PA", modality: str = "X-ray", **other: str
) -> dict[str, str]:
    return {"patientid": "7", "folder": "images", **other} | {
        "filename": filename,
        "finding": finding,
        "view": view,
        "modality": modality,
    }


ROWS = [
    row(
        "b.png", sex="F", age="52", location="Hanoi", date="2020", url="https://www.sirm.org/x", clinical_notes="fever"
    ),
    row("a.jpg", "SARS", patientid="x1"),
    row("c.png", "COVID-19, ARDS", "AP Supine"),
    row("d.png", "todo"),
    row("e.png", "COVID-19", "L"),
    row("f.png", "COVID-19", "Axial", "CT"),
    row("g.png", "No Finding", "AP"),
    row("h.png", "", "AP"),
]


def build(root: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    (root / "images").mkdir(parents=True)
    for place, cells in enumerate(rows):
        Image.effect_noise((80, 90), 40 + place).save(root / "images" / cells["filename"])
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return root


def test_rows_come_in_file_order_with_labels_and_reasons(tmp_path: Path) -> None:
    cohort = CovidChestXray().cohort(build(tmp_path))
    assert cohort.images == ["b.png", "a.jpg", "c.png", "g.png", "h.png"]
    assert cohort.table["label"].tolist()[:4] == [1, 0, 1, 0] and cohort.table["label"].isna().tolist()[4]
    assert cohort.left_out == {"finding todo": 1, "view L": 1, "modality CT": 1}
    assert cohort.unlisted == () and cohort.missing == {}
    first = cohort.table.iloc[0]
    named = ("patient", "source", "site", "date", "sex", "age", "notes")
    assert [first[name] for name in named] == ["7", "sirm.org", "Hanoi", "2020", "F", 52.0, "fever"]
    assert cohort.read(first["path"]).pixels.shape == (1, 90, 80)


def test_findings_may_be_chosen_and_what_is_in_neither_list_is_counted(tmp_path: Path) -> None:
    root = build(tmp_path)
    cohort = CovidChestXray(negative=("SARS",), views=()).cohort(root)
    assert cohort.images == ["b.png", "a.jpg", "c.png", "e.png", "h.png"]
    assert cohort.left_out == {"finding todo": 1, "modality CT": 1, "finding No Finding": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive": ("COVID19",)}, "positive: 'COVID19' never occurs .*'COVID-19'"),
        ({"negative": ("Sars",)}, "negative: 'Sars' never occurs"),
        ({"left_out": ("Unknown",)}, "left_out: 'Unknown' never occurs"),
        ({"views": ("PA", "AP supine")}, "views: 'AP supine' never occurs .*'AP Supine'"),
        ({"left_out": ("COVID-19",)}, "under both|never occurs"),
    ],
)
def test_a_name_that_never_occurs_is_answered_with_the_nearest(tmp_path: Path, options: dict, message: str) -> None:
    root = build(tmp_path)
    if "left_out" in options and options["left_out"] == ("COVID-19",):
        options = {**options, "positive": ("COVID-19",)}
    with pytest.raises(UserError, match=message):
        CovidChestXray(**options).cohort(root)


def test_a_release_with_other_names_of_findings_is_refused_rather_than_all_negative(tmp_path: Path) -> None:
    root = build(tmp_path, [row("a.png", "Pneumonia/Viral/COVID-19"), row("b.png", "No Finding")])
    with pytest.raises(UserError, match="'COVID-19' never occurs"):
        CovidChestXray().cohort(root)


def test_files_absent_and_files_unlisted_are_named(tmp_path: Path) -> None:
    root = build(tmp_path)
    (root / "images" / "b.png").unlink()
    (root / "images" / "a.jpg").rename(root / "images" / "a.JPG")
    (root / "images" / "new.png").write_bytes(b"")
    cohort = CovidChestXray().cohort(root)
    assert cohort.missing == {"b.png": "no such file"} and len(cohort) == 5
    assert cohort.table["path"].tolist()[1] == "images/a.JPG"
    assert cohort.unlisted == ("images/new.png",)


def test_a_folder_without_any_listed_file_is_an_error(tmp_path: Path) -> None:
    root = build(tmp_path)
    for file in (root / "images").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="none of the 5 listed files exists"):
        CovidChestXray().cohort(root)


def test_a_name_that_leads_out_of_the_folder_is_refused_with_its_line(tmp_path: Path) -> None:
    root = build(tmp_path, ROWS[:2])
    with (root / "metadata.csv").open("a", newline="") as file:
        csv.DictWriter(file, HEADER, restval="").writerow(row("../../secret.png"))
    with pytest.raises(UserError, match=r"metadata.csv line 4: '../../secret.png' leads out"):
        CovidChestXray().cohort(root)


def test_an_unpacked_archive_with_its_top_folder_is_accepted(tmp_path: Path) -> None:
    build(tmp_path / "covid-chestxray-dataset-master")
    assert len(CovidChestXray().cohort(tmp_path)) == 5


def test_a_misspelt_option_is_answered_with_the_right_one() -> None:
    with pytest.raises(UserError, match="did you mean 'views'"):
        parse(CovidChestXray, {"view": ["PA"]}, "[data]")


def test_the_papers_cohort_is_exactly_the_papers(shared: Path) -> None:
    root = shared / "data" / "covid-chestxray-2020-05-04"
    cohort = CovidChestXray().cohort(root)
    table = cohort.table
    assert (len(table), (table["label"] == 1).sum(), (table["label"] == 0).sum()) == (289, 233, 56)
    assert table["patient"].nunique() == 180
    assert cohort.missing == {"cavitating-pneumonia-4-day28-PA.png": "no such file"}
    assert cohort.left_out == {"view L": 27, "modality CT": 44}
    with (root / "paper_split.csv").open() as file:
        listed = [(row["filename"], float(row["label"]), row["patientid"]) for row in csv.DictReader(file)]
    assert list(zip(table["image"], table["label"], table["patient"], strict=True)) == listed


def test_the_later_snapshot_leaves_out_what_has_no_label(shared: Path) -> None:
    cohort = CovidChestXray().cohort(shared / "data" / "covid-chestxray-2020-08")
    assert len(cohort) == 527 and cohort.table["label"].notna().all()
    assert cohort.left_out["finding todo"] == 50
