"""A table of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cxrlens.config import parse
from cxrlens.data.cohort import Cohort
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
    with pytest.raises(UserError, match=r"list.csv line 3: 'maybe' in the column label belongs to no class"):
        CsvTable(table="list.csv").cohort(build(tmp_path, "image,label\na.png,1\nb.png,maybe\n"))


def test_numbers_in_the_study_file_may_be_the_values(tmp_path: Path) -> None:
    source = parse(CsvTable, {"table": "list.csv", "positive": [2], "negative": [1]}, "[data]")
    assert source.cohort(build(tmp_path, "image,label\na.png,2\nb.png,1\n")).table["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "lst.csv"}, "cannot read the table"),
        ({"table": "../list.csv"}, "leads out"),
        ({"image": "imagge"}, r"no column 'imagge' \(did you mean 'image'\?\)"),
        ({"patient": "subject"}, "no column 'subject'"),
        ({"images": "pics"}, "no folder"),
        ({"positive": ("1",), "negative": ("1.0",)}, "under both"),
    ],
)
def test_options_that_do_not_fit_the_folder_are_explained(tmp_path: Path, options: dict, message: str) -> None:
    root = build(tmp_path, "image,label\na.png,1\nb.png,0\n")
    with pytest.raises(UserError, match=message):
        CsvTable(**{"table": "list.csv", **options}).cohort(root)


def test_an_unknown_cohort_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'site'"):
        parse(CsvTable, {"table": "t.csv", "columns": {"sit": "ward"}}, "[data]")


def folders(root: Path, *names: str) -> Path:
    for place, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((70, 70), 40 + place).save(root / name, "png")
    return root


@pytest.mark.parametrize("again", ["./a.png", "a.PNG", " a.png ", "sub/../a.png", "link.png", "{root}/a.png", "a"])
def test_one_file_under_two_spellings_is_one_image(tmp_path: Path, again: str) -> None:
    root = build(tmp_path, "")
    (root / "link.png").symlink_to(root / "a.png")
    again = again.format(root=root)
    for label, patient, message in (("0", "p", "label 1"), ("1", "q", "patient p"), ("", "p", "label unknown")):
        (root / "list.csv").write_text(
            f"image,label,patient,view\na.png,1,p,PA\nb.png,0,r,PA\n{again},{label},{patient},AP\n"
        )
        with pytest.raises(UserError, match=r"listed twice: 'a\.png' in line 2 .*in line 4 \(") as refused:
            CsvTable(table="list.csv").cohort(root)
        assert message in str(refused.value)
    (root / "list.csv").write_text(f"image,label,patient,view,box\na.png,1,p,PA,3\nb.png,0,r,PA,\n{again},1,p,PA,4\n")
    cohort = CsvTable(table="list.csv").cohort(root)
    assert cohort.images == ["a.png", "b.png"] and cohort.table["view"].tolist() == ["PA", "PA"]
    assert cohort.table["box"].isna().all(), "which of two values it is, nobody knows"
    assert cohort.warnings[0] == (
        "1 row names an image that a row above names, with the same label, and counts once (line 4); columns that "
        "differ among its rows are left empty: box"
    )


def test_an_image_that_is_listed_and_left_out_is_an_error_with_both_lines(tmp_path: Path) -> None:
    root = build(tmp_path, "image,label\na.png,1\nb.png,0\n./a.png,-1\n")
    with pytest.raises(UserError, match=r"'a\.png' in line 2 \(label 1\) and '\./a\.png' in line 4 \(left out"):
        CsvTable(table="list.csv", left_out=("-1",)).cohort(root)


def test_a_missing_file_under_two_spellings_is_one_image_too(tmp_path: Path) -> None:
    root = build(tmp_path, "image,label\na.png,1\nb.png,0\nx.png,1\n./x.PNG,0\n")
    with pytest.raises(UserError, match=r"'x\.png' in line 4 .*'\./x\.PNG' in line 5"):
        CsvTable(table="list.csv").cohort(root)


def test_two_copies_of_a_file_are_two_images(tmp_path: Path) -> None:
    root = build(tmp_path, "image,label\na.png,1\nd.png,0\n")
    (root / "d.png").hardlink_to(root / "a.png")
    assert len(CsvTable(table="list.csv").cohort(root)) == 2, "what copies mean is for the search for duplicates"


CHEXPERT = """Path,Sex,Age,Frontal/Lateral,Pneumonia
set/train/patient001/study1/view1_frontal.png,Female,60,Frontal,1.0
set/train/patient001/study1/view2_lateral.png,Female,60,Lateral,1.0
set/train/patient002/study1/view1_frontal.png,Male,90,Frontal,-1.0
set/train/patient003/study1/view1_frontal.png,Male,50,Frontal,0.0
set/train/patient003/study2/view1_frontal.png,Male,50,Frontal,
"""


def chexpert(root: Path, **options: object) -> Cohort:
    lines = CHEXPERT.splitlines()[1:]
    folders(root, *(line.split(",")[0] for line in lines))
    (root / "set" / "train.csv").write_text(CHEXPERT)
    source = {"table": "set/train.csv", "image": "Path", "label": "Pneumonia", "columns": {"view": "Frontal/Lateral"}}
    return parse(CsvTable, {**source, **options}, "[data]").cohort(root)


def test_uncertain_labels_side_views_and_patients_in_the_path_are_options(tmp_path: Path) -> None:
    options = {"left_out": ["-1"], "views": ["Frontal"], "patient_pattern": r"(patient\d+)/"}
    cohort = chexpert(tmp_path, **options)
    assert cohort.table["label"].tolist()[:2] == [1, 0] and cohort.table["label"].isna().tolist()[2]
    assert cohort.table["patient"].tolist() == ["patient001", "patient003", "patient003"]
    assert cohort.left_out == {"view Lateral": 1, "Pneumonia -1.0": 1}
    negative = chexpert(tmp_path, **options, negative=["0", ""])
    assert negative.table["label"].tolist() == [1, 0, 0]
    assert chexpert(tmp_path, **options, negative=["0"], positive=["1", ""]).table["label"].tolist() == [1, 0, 1]
    left_out = chexpert(tmp_path, **{**options, "left_out": ["-1", ""]})
    assert left_out.left_out == {"view Lateral": 1, "Pneumonia -1.0": 1, "Pneumonia empty": 1}


def test_names_that_begin_with_the_data_folder_are_found_below_it(tmp_path: Path) -> None:
    chexpert(tmp_path, left_out=["-1"])
    source = CsvTable(table="train.csv", image="Path", label="Pneumonia", left_out=("-1",))
    assert not source.cohort(tmp_path / "set").missing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": ["frontal"], "left_out": ["-1"]}, r"views: 'frontal' never occurs .*'Frontal'"),
        ({"views": ["PA"], "columns": {}, "left_out": ["-1"]}, "views needs the column with the view"),
        ({"patient_pattern": r"subject(\d+)", "left_out": ["-1"]}, "matches no name"),
        ({"patient": "Sex", "patient_pattern": r"(\d)"}, "not both"),
        ({"left_out": ["-1", "1"]}, "under both positive and left_out"),
        ({}, "'-1.0' in the column Pneumonia belongs to no class .* or to left_out"),
        ({"more_table": "x.csv"}, "give both more_table"),
    ],
)
def test_options_for_public_tables_that_do_not_fit_are_explained(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        chexpert(tmp_path, **options)


def test_joined_labels_are_positive_if_any_is(tmp_path: Path) -> None:
    text = "image,label\na.png,Pneumonia|Mass\nb.png,No Finding\nc.png,Mass|Effusion\nd.png,\ne.png,Effusion\n"
    root = folders(build(tmp_path, text), "d.png", "e.png")
    chosen = {"table": "list.csv", "separator": "|", "positive": ("pneumonia",)}
    cohort = CsvTable(**chosen, negative=("no finding",)).cohort(root)
    assert cohort.images == ["a.png", "b.png", "d.png"] and cohort.table["label"].tolist()[:2] == [1, 0]
    assert cohort.table["label"].isna().tolist()[2]
    assert cohort.left_out == {"label Mass": 1, "label Effusion": 1}
    rest = CsvTable(**chosen, negative="rest", left_out=("Mass",)).cohort(root)
    assert rest.table["label"].fillna(-1).tolist() == [1, 0, -1, 0] and rest.left_out == {"label Mass": 1}
    with pytest.raises(UserError, match=r"positive: 'Pnuemonia' never occurs .*'Pneumonia'"):
        CsvTable(**{**chosen, "positive": ("Pnuemonia",)}, negative="rest").cohort(root)
    with pytest.raises(UserError, match=r"if it holds several labels, write separator = '\|'"):
        CsvTable(table="list.csv", positive=("Pneumonia",), negative=("No Finding",)).cohort(root)


def test_labels_written_as_a_list_are_parted(tmp_path: Path) -> None:
    text = "image;label\na.png;\"['pneumonia', ' pleural effusion']\"\nb.png;['normal']\nc.png;[]\n"
    source = CsvTable(table="list.csv", separator=",", positive=("pneumonia",), negative=("normal",))
    labels = source.cohort(build(tmp_path, text)).table["label"]
    assert labels.tolist()[:2] == [1, 0] and labels.isna().tolist()[2]


def test_a_row_a_box_is_one_image_and_rows_that_disagree_are_an_error(tmp_path: Path) -> None:
    root = folders(tmp_path, "images/u-1.dcm", "images/u-2.dcm")
    (root / "list.csv").write_text("patientId,x,Target\nu-1,10,1\nu-1,30,1\nu-2,,0\n")
    chosen = {"table": "list.csv", "image": "patientId", "label": "Target", "patient": "patientId"}
    cohort = CsvTable(**chosen).cohort(root)
    assert cohort.table["path"].tolist() == ["images/u-1.dcm", "images/u-2.dcm"]
    assert cohort.table["label"].tolist() == [1, 0] and cohort.table["x"].isna().all()
    assert "2 listed files were found in folders that the table does not name" in cohort.warnings[1]
    assert cohort.warnings[1].endswith('; write images = "images" in [data] to say so')
    assert len(CsvTable(**chosen, images="images").cohort(root).warnings) == 1
    (root / "list.csv").write_text("patientId,x,Target\nu-1,10,1\nu-1,30,0\nu-2,,0\n")
    with pytest.raises(UserError, match=r"'u-1' in line 2 \(label 1.* and 'u-1' in line 3 \(label 0"):
        CsvTable(**chosen).cohort(root)


def test_rows_of_findings_are_joined_where_the_study_says_so(tmp_path: Path) -> None:
    root = build(tmp_path, "image,label\na,Mass\na,Pneumothorax\nb,No finding\nc,Mass\na.png,Mass\n")
    chosen = {"table": "list.csv", "positive": ("Pneumothorax",), "negative": ("No finding",)}
    cohort = CsvTable(**chosen, join_rows=True, suffix=".png").cohort(root)
    assert cohort.images == ["a", "b"] and cohort.table["label"].tolist() == [1, 0]
    assert cohort.left_out == {"label Mass": 1}


def test_a_suffix_of_the_study_says_which_of_two_files(tmp_path: Path) -> None:
    root = folders(build(tmp_path, "image,label\na,1\nb.png,0\n"), "a.jpg")
    assert CsvTable(table="list.csv").cohort(root).missing == {"a": "2 files fit: a.jpg, a.png"}
    assert CsvTable(table="list.csv", suffix=".png").cohort(root).table["path"].tolist() == ["a.png", "b.png"]


def test_names_may_be_excluded_by_patterns(tmp_path: Path) -> None:
    cohort = CsvTable(table="list.csv", exclude=("b*", "x/*")).cohort(
        build(tmp_path, "image,label\na.png,1\nb.png,0\nc.png,0\n")
    )
    assert cohort.images == ["a.png", "c.png"] and cohort.left_out == {"excluded by 'b*'": 1}
    assert cohort.notes == ("exclude pattern 'x/*' matched no file",) and not cohort.warnings


def test_labels_of_studies_are_joined_to_their_images(tmp_path: Path) -> None:
    root = build(tmp_path, "dicom_id,study_id,ViewPosition\na,7,PA\nb,8,AP\nc,9,LL\n")
    (root / "labels.csv").write_text("subject_id,study_id,Pneumonia\n1,7,1.0\n2,8,\n3,9,-1.0\n")
    cohort = CsvTable(
        table="list.csv",
        more_table="labels.csv",
        more_on=("study_id",),
        image="dicom_id",
        label="Pneumonia",
        patient="subject_id",
        negative=("0", ""),
        left_out=("-1",),
        columns={"view": "ViewPosition"},
        views=("PA", "AP"),
    ).cohort(root)
    assert cohort.table["label"].tolist() == [1, 0] and cohort.table["patient"].tolist() == ["1", "2"]


def test_codes_of_other_columns_stay_text_and_odd_ages_are_said(tmp_path: Path) -> None:
    text = 'image,label,view,ward,age,sex\na.png,1,01,007,45M,1\nb.png,0,1,7,90+,F\nc.png,0,01,7,"45,5",M\n'
    cohort = CsvTable(table="list.csv").cohort(build(tmp_path, text))
    assert cohort.table["view"].tolist() == ["01", "1", "01"] and cohort.table["ward"].tolist() == ["007", "7", "7"]
    assert cohort.table["age"].tolist()[1:] == [90, 45.5] and cohort.table["age"].isna().tolist()[0]
    assert cohort.warnings == (
        "1 of 3 sexes cannot be read and counts as unknown: '1'",
        "1 of 3 ages cannot be read and counts as unknown: '45M'",
    )


def test_absolute_names_are_found_below_a_relative_or_linked_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    build(root, f"image,label\n{root}/a.png,1\n{tmp_path}/link/b.png,0\n")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for folder in (Path("../data"), Path("../link"), tmp_path / "link"):
        assert CsvTable(table="list.csv").cohort(folder).table["path"].tolist() == ["a.png", "b.png"]
    (root / "list.csv").write_text(f"image,label\n{root}/a.png,1\n{tmp_path}/other/b.png,0\n")
    with pytest.raises(UserError, match=r"line 3: .*leads out of"):
        CsvTable(table="list.csv").cohort(root)


def test_codes_of_many_digits_stay_apart(tmp_path: Path) -> None:
    build(tmp_path, "image,label\na.png,840544004\nb.png,840544009\nc.png,840544004.0\n")
    for negative in ("rest", ("840544009",)):
        cohort = CsvTable(table="list.csv", positive=("840544004",), negative=negative).cohort(tmp_path)
        assert cohort.table["label"].tolist() == [1, 0, 1]


def test_a_row_without_one_in_the_second_table_is_unknown_even_where_blank_is_negative(tmp_path: Path) -> None:
    build(tmp_path, "image,study\na.png,1\nb.png,2\nc.png,3\n")
    (tmp_path / "more.csv").write_text("study,Pneumonia\n1,1\n2,\n")
    source = CsvTable(
        table="list.csv", more_table="more.csv", more_on=("study",), label="Pneumonia", negative=("0", "")
    )
    cohort = source.cohort(tmp_path)
    assert cohort.table["label"].tolist()[:2] == [1, 0] and cohort.table["label"].isna().tolist()[2]
    assert any("1 of 3 rows of list.csv have no row in more.csv (first: line 4)" in line for line in cohort.warnings)


def test_patients_that_are_not_stated_are_not_one_person(tmp_path: Path) -> None:
    build(tmp_path, "image,label,patient\na.png,1,nan\nb.png,0,nan\nc.png,0,Unknown\n")
    cohort = CsvTable(table="list.csv").cohort(tmp_path)
    assert cohort.table["patient"].nunique() == 3 and not cohort.table["patient_known"].any()
    assert "3 of 3 patients are not stated and count as unknown: 'nan', 'Unknown'" in (cohort.warnings)


@pytest.mark.parametrize("column", ["Patient ID", "patientid", "subject_id"])
def test_a_column_of_patients_that_the_study_does_not_name_is_told(tmp_path: Path, column: str) -> None:
    build(tmp_path, f"image,label,{column}\na.png,1,p\nb.png,0,q\nc.png,0,q\n")
    warning = f'the column {column} may say the patient: patient = "{column}" in [data] uses it'
    assert warning in CsvTable(table="list.csv").cohort(tmp_path).warnings
    assert warning not in CsvTable(table="list.csv", patient=column).cohort(tmp_path).warnings


@pytest.mark.parametrize("name", ["./{}", "sub/../{}"])
def test_the_tables_themselves_are_no_other_files_however_they_are_written(tmp_path: Path, name: str) -> None:
    root = folders(build(tmp_path, "image,study\na.png,1\nb.png,2\n"), "sub/c.png")
    (root / "more.csv").write_text("study,label\n1,1\n2,0\n")
    options = {"more_table": name.format("more.csv"), "more_on": ["study"]}
    cohort = CsvTable(table=name.format("list.csv"), **options).cohort(root)
    assert cohort.images == ["a.png", "b.png"] and cohort.other_files == ()
