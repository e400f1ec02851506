"""A folder of DICOM files: labels by class folders or by a table, the rest from the headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cxrlens.audit.data_check import check
from cxrlens.config import parse
from cxrlens.data.cache import build_cache
from cxrlens.data.sources.dicom_folder import DicomFolder
from cxrlens.data.split import SplitOptions
from cxrlens.errors import UserError
from support.dicom_files import write_dicom


def build(root: Path) -> Path:
    """Two patients with two studies each; one lateral view, one hand and one file that is no DICOM among the images."""
    for number, (patient, study) in enumerate([("P1", "1.1"), ("P1", "1.2"), ("P2", "2.1"), ("P2", "2.2")]):
        facts = {"PatientID": patient, "StudyInstanceUID": study, "AccessionNumber": f"A{number}"}
        write_dicom(root / study / "IM0", 2 * number, ViewPosition="PA", **facts)
        write_dicom(root / study / "IM1", 2 * number + 1, ViewPosition="LATERAL" if number == 0 else "AP", **facts)
    write_dicom(root / "2.2" / "IM2", 9, PatientID="P2", BodyPartExamined="HAND")
    (root / "2.2" / "notes.txt").write_text("none")
    return root


def listed(root: Path, lines: list[str], **options) -> DicomFolder:
    (root / "labels.csv").write_text("\n".join(lines))
    return DicomFolder(table="labels.csv", **options)


def test_a_table_by_study_labels_all_its_frontal_images(tmp_path: Path) -> None:
    lines = ["StudyInstanceUID,label,site", "1.1,1,X", "1.2,0,", "2.1,,", "9.9,1,"]
    cohort = listed(build(tmp_path), lines, match="StudyInstanceUID").cohort(tmp_path)
    labels = cohort.table.set_index("image")["label"]
    assert labels["1.1/IM0"] == 1 and labels["1.2/IM0"] == labels["1.2/IM1"] == 0 and labels.isna().sum() == 2
    assert cohort.table["patient"].nunique() == 2 and cohort.table["view"].tolist() == ["PA", "PA", "AP", "PA", "AP"]
    assert cohort.table["site"].tolist()[0] == "X"
    assert cohort.left_out == {
        "no row in the table with their StudyInstanceUID": 2,
        "no StudyInstanceUID in the header": 1,
        "a lateral or oblique view (LATERAL)": 1,
    }
    assert cohort.origins == {
        "no row in the table with their StudyInstanceUID": "its label is not known",
        "no StudyInstanceUID in the header": "its label is not known",
        "a lateral or oblique view (LATERAL)": "not a frontal chest X-ray",
    }
    assert "1 row of labels.csv names no StudyInstanceUID here: line 5" in cohort.warnings and not cohort.faults
    assert cohort.other_files == ("2.2/notes.txt",) and cohort.unlisted == ()


@pytest.mark.parametrize(
    ("match", "lines", "images"),
    [
        ("PatientID", ["patient_id,label", "p1,1", "P2 ,0"], 7),
        ("AccessionNumber", ["accession,label", "a0,1", "A3,0"], 3),
        ("SOPInstanceUID", ["SOPInstanceUID,label", "1.2.3.0,1", "1.2.3.6,0"], 2),
        ("file", ["file,label", "1.1/IM0,1", "2.1/IM1,0"], 2),
    ],
)
def test_a_row_names_a_patient_an_order_an_image_or_a_file(tmp_path, match, lines, images) -> None:
    table = listed(build(tmp_path), lines, match=match).cohort(tmp_path).table
    assert len(table) == images and set(table["label"]) == {0, 1}
    assert not any(cell in ("P1", "P2") for cell in table.drop(columns=["image", "path"]).to_numpy().flat)


def test_files_are_named_without_their_suffix_and_a_row_a_box_is_one_image(tmp_path: Path) -> None:
    for seed, name in enumerate(("aa", "bb")):
        write_dicom(tmp_path / "stage" / f"{name}.dcm", seed, PatientID=name)
    lines = ["patientId,x,Target", "aa,1,1", "aa,7,1", "bb,,0"]
    cohort = listed(tmp_path, lines, column="patientId", label="Target").cohort(tmp_path)
    assert cohort.table["label"].tolist() == [1, 0] and cohort.table["x"].isna().all()
    with pytest.raises(UserError, match="lines 2 and 3 give the same file two labels"):
        listed(tmp_path, ["file,label", "aa,1", "aa,0"]).cohort(tmp_path)


def test_rows_that_name_no_file_are_a_fault_that_tells_the_first(tmp_path: Path) -> None:
    lines = ["file,label", "1.1/IM0,1", "1.2/IM1,0", "IM9999,1"]
    cohort = listed(build(tmp_path), lines).cohort(tmp_path)
    assert cohort.faults == ("1 row of labels.csv names no file here: line 4, 'IM9999'",)
    assert cohort.faults[0] in cohort.warnings
    report = check(cohort, SplitOptions(), build_cache(cohort, 64, folder=tmp_path / "cache"))
    assert cohort.faults[0] in report.faults and cohort.faults[0] not in report.warnings
    cohort = listed(tmp_path, [*lines, "x,0"]).cohort(tmp_path)
    assert cohort.faults == ("2 rows of labels.csv name no file here (first: line 4, 'IM9999')",)


def test_a_bare_name_that_several_files_have_labels_none_of_them(tmp_path: Path) -> None:
    cohort = listed(build(tmp_path), ["file,label", "IM0,1", "1.2/IM1,0"]).cohort(tmp_path)
    assert cohort.images == ["1.2/IM1"] and cohort.left_out["the table names 'IM0', as several files are called"] == 4


def test_class_folders_label_as_in_an_image_folder(tmp_path: Path) -> None:
    for place, folder in enumerate(("NORMAL", "sick", "sick")):
        write_dicom(tmp_path / folder / f"IM{place}", place, PatientID=f"P{place}", PatientSex="F", ViewPosition="PA")
    write_dicom(tmp_path / "sick" / "IM9", 9, PatientID="P1", ViewPosition="LAO")
    write_dicom(tmp_path / "sick" / "CT1", 8, PatientID="P1", Modality="CT")
    Image.effect_noise((70, 70), 40).save(tmp_path / "sick" / "a.png")
    cohort = DicomFolder().cohort(tmp_path)
    assert cohort.name == "dicom_folder" and cohort.images == ["NORMAL/IM0", "sick/IM1", "sick/IM2"]
    assert cohort.table["label"].tolist() == [0, 1, 1] and cohort.table["sex"].tolist() == ["F"] * 3
    assert cohort.left_out == {"a lateral or oblique view (LAO)": 1, "a DICOM of modality CT": 1, "no DICOM": 1}
    assert set(cohort.origins) == set(cohort.left_out) and cohort.origins["no DICOM"] == "cannot be used"


def test_views_may_be_chosen(tmp_path: Path) -> None:
    lines = ["PatientID,label", "P1,1", "P2,0"]
    cohort = listed(build(tmp_path), lines, match="PatientID", views=["ap"]).cohort(tmp_path)
    assert set(cohort.table["view"]) == {"AP"} and cohort.left_out["view PA"] == 4
    assert "view PA" not in cohort.origins  # the study's choice
    with pytest.raises(UserError, match="no image is left for the study"):
        listed(tmp_path, lines, match="PatientID", views=["frontal"]).cohort(tmp_path)


def test_a_patient_of_the_table_goes_before_the_header(tmp_path: Path) -> None:
    lines = ["file,label,patient", "1.1/IM0,1,me", "1.2/IM0,0,me", "2.1/IM0,0,"]
    patients = listed(build(tmp_path), lines).cohort(tmp_path).table["patient"].tolist()
    assert patients[:2] == ["me", "me"] and patients[2].startswith("p-")


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            ["study,label", "1.1,1"],
            {"match": "StudyInstanceUID"},
            "no column has a usual name for the StudyInstanceUID.*study, label",
        ),
        (["file,label", "1.1/IM0,7"], {}, "line 2: '7' in the column label belongs to no class"),
        (["file,label", "x,1"], {}, "names no DICOM file by file"),
        (["file,other", "x,1"], {}, "no column 'label'"),
        (["file,label", "1.1/IM0,1"], {"positive": ["1"], "negative": ["1"]}, "under both positive and negative"),
    ],
)
def test_a_table_that_does_not_fit_is_answered_with_what_to_do(tmp_path, lines, options, message) -> None:
    with pytest.raises(UserError, match=message):
        listed(build(tmp_path), lines, **options).cohort(tmp_path)


def test_ids_do_not_stand_in_errors_about_a_table_by_patient(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        listed(build(tmp_path), ["PatientID,label", "SECRET,1", "SECRET,0"], match="PatientID").cohort(tmp_path)
    assert "SECRET" not in str(caught.value) and "lines 2 and 3" in str(caught.value)


def test_options_that_would_not_be_used_are_refused() -> None:
    with pytest.raises(UserError, match="match: only for labels from a table"):
        parse(DicomFolder, {"match": "PatientID"}, "[data]")


def test_a_folder_without_dicom_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na,1\n")
    with pytest.raises(UserError, match=r"holds no DICOM file \(among 1 file\)"):
        DicomFolder(table="labels.csv").cohort(tmp_path)


def test_ages_sexes_and_patients_of_the_table_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    for number in range(4):
        write_dicom(tmp_path / f"{number}.dcm", number, PatientID=f"P{number}")
    lines = ["file,label,age,sex,patient", "0.dcm,1,12M,1,nan", "1.DCM,0,45,F,nan", "2.dcm,1,forty,M,", "3,0,7,M,"]
    cohort = listed(tmp_path, lines).cohort(tmp_path)
    assert cohort.table["patient"].nunique() == 4  # those of the headers
    assert [line for line in cohort.warnings if "view" not in line] == [
        "2 of 4 patients are not stated and count as unknown: 'nan'",
        "1 of 4 sexes cannot be read and counts as unknown: '1'",
        "2 of 4 ages cannot be read and count as unknown: '12M', 'forty'",
    ]


def test_what_follows_the_last_point_of_a_uid_is_no_suffix(tmp_path: Path) -> None:
    for number, name in enumerate(["1.2.3", "1.2.3.1", "1.2.3.2"]):
        write_dicom(tmp_path / name, number, PatientID=name)
    cohort = listed(tmp_path, ["file,label", "1.2.3,1", "1.2.3.1,0"]).cohort(tmp_path)
    assert cohort.table.set_index("image")["label"].to_dict() == {"1.2.3": 1, "1.2.3.1": 0}
    assert cohort.left_out == {"no row in the table": 1}


def test_links_out_of_the_folder_hidden_files_and_second_names_of_a_file_are_no_images(tmp_path: Path) -> None:
    write_dicom(tmp_path / "out" / "secret.dcm", 7, StudyInstanceUID="1")
    root = tmp_path / "root"
    for number, name in enumerate(("a.dcm", "b.dcm", ".trash/h.dcm")):
        write_dicom(root / name, number, StudyInstanceUID=str(number % 2))
    (root / "link.dcm").symlink_to(tmp_path / "out" / "secret.dcm")
    (root / "0 again.dcm").symlink_to(root / "a.dcm")
    lines = ["study,label", "0,1", "1,0"]
    cohort = listed(root, lines, match="StudyInstanceUID", column="study").cohort(root)
    assert cohort.images == ["a.dcm", "b.dcm"]
    (refused,) = (reason for reason in cohort.left_out if "out of the data folder: refused" in reason)
    assert cohort.left_out == {"links to files that are listed themselves": 1, refused: 1}
    assert cohort.origins[refused] == "cannot be used" and cohort.other_files == (".trash/h.dcm",)
    cohort = listed(root, ["file,label", "0 again.dcm,1", "b,0", "link.dcm,1"]).cohort(root)
    assert cohort.images == ["a.dcm", "b.dcm"] and cohort.table["label"].tolist() == [1, 0] and not cohort.unlisted
    assert "line 4, 'link.dcm' (a link out of the data folder: refused" in cohort.faults[0]


@pytest.mark.parametrize(
    "name",
    ["images/im0.dcm", "./images/im0.dcm", "deep/images/im0", "sub/../deep/images/im0.dcm", "images\\im0.DCM", "im0"],
)
def test_a_table_names_files_in_every_way_that_other_tables_do(tmp_path: Path, name: str) -> None:
    write_dicom(tmp_path / "deep" / "images" / "im0.dcm", 0)
    write_dicom(tmp_path / "deep" / "images" / "im1.dcm", 1)
    Image.effect_noise((70, 70), 40).save(tmp_path / "deep" / "images" / "im0.png")  # a preview is no DICOM
    for written in (name, f"{tmp_path}/deep/images/im0.dcm", f"{tmp_path.name}/deep/images/im0.dcm"):
        cohort = listed(tmp_path, ["file,label", f"{written},1", "im1.dcm,0"]).cohort(tmp_path)
        assert cohort.table["label"].tolist() == [1, 0] and not cohort.faults


def test_a_row_that_leads_out_of_the_folder_is_refused_with_its_line(tmp_path: Path) -> None:
    lines = ["file,label", "1.1/IM0,1", "../1.1/IM0,0"]
    with pytest.raises(UserError, match=r"labels\.csv line 3: '\.\./1\.1/IM0' leads out of"):
        listed(build(tmp_path), lines).cohort(tmp_path)


def test_a_files_own_row_goes_before_one_that_names_several(tmp_path: Path) -> None:
    lines = ["file,label", "IM1,0", "1.2/IM0,1", "IM0,0"]
    cohort = listed(build(tmp_path), lines).cohort(tmp_path)
    assert cohort.table.set_index("image")["label"].to_dict() == {"1.2/IM0": 1}
    assert cohort.left_out["the table names 'IM0', as several files are called"] == 3 and not cohort.faults


def test_a_dicom_of_any_suffix_is_found_by_its_bare_name(tmp_path: Path) -> None:
    for number, name in enumerate(("a.xr", "b.xr")):
        write_dicom(tmp_path / "deep" / name, number)
    assert len(listed(tmp_path, ["file,label", "a.xr,1", "deep/b.xr,0"]).cohort(tmp_path)) == 2


def test_a_pattern_is_searched_in_the_path_too_and_told_where_it_fits_some_or_none(tmp_path: Path) -> None:
    lines = ["file,label,patient", "1.1/IM0,1,", "1.2/IM1,0,me", "2.1/IM0,0,you"]
    cohort = listed(build(tmp_path), lines, patient_pattern=r"^1\.(\d)/").cohort(tmp_path)
    assert cohort.table["patient"].tolist() == ["1", "2", "you"]
    assert r"patient_pattern '^1\.(\d)/' does not fit 1 of 3 names: each is its own patient" in cohort.warnings
    with pytest.raises(UserError, match=r"matches no file name; the first is 'IM0', and no path: '1\.1/IM0'"):
        listed(tmp_path, lines, patient_pattern=r"person(\d)").cohort(tmp_path)


@pytest.mark.parametrize("name", ["./labels.csv", "1.1/../labels.csv"])
def test_the_table_itself_is_no_other_file_however_it_is_written(tmp_path: Path, name: str) -> None:
    listed(build(tmp_path), ["file,label", "1.1/IM0,1", "1.2/IM1,0"])
    cohort = DicomFolder(table=name).cohort(tmp_path)
    assert cohort.other_files == ("2.2/notes.txt",)
    with pytest.raises(UserError, match=r"'\.\./labels\.csv' leads out of"):
        DicomFolder(table="../labels.csv").cohort(tmp_path / "1.1")


@pytest.mark.parametrize("match", ["file", "StudyInstanceUID", "PatientID"])
def test_a_column_of_ids_that_is_not_used_is_not_kept_and_this_is_told(tmp_path: Path, match: str) -> None:
    lines = ["file,study,patient id,MRN,label,x", "1.1/IM0,1.1,P1,SECRET,1,7", "2.1/IM0,2.1,P2,SECRET,0,8"]
    column = {"file": "file", "StudyInstanceUID": "study", "PatientID": "patient id"}[match]
    cohort = listed(build(tmp_path), lines, match=match, column=column).cohort(tmp_path)
    assert "SECRET" not in cohort.table.to_csv() and {"x"} <= {*cohort.table}
    assert sum("the column MRN may say the patient and is not kept" in line for line in cohort.warnings) == 1
    assert any("the column patient id" in line for line in cohort.warnings) == (match != "PatientID")
