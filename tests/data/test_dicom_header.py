"""What DICOM headers say of a cohort: patients stay together, ids are hashed, and warnings name what is unknown."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from cxrlens.config import parse
from cxrlens.data import dicom_header as dicom_header_module
from cxrlens.data.cohort import Cohort
from cxrlens.data.dicom_header import TAGS, Header, read_headers
from cxrlens.data.dicom_patients import HeaderOptions, name_patients
from cxrlens.data.sources.csv_table import CsvTable
from cxrlens.data.sources.image_folder import ImageFolder
from cxrlens.data.split import SplitOptions, leak, make_splits
from cxrlens.errors import UserError
from support.dicom_files import write_dicom

HASHED = HeaderOptions()


def people(*headers: Header, options: HeaderOptions = HASHED) -> tuple[list[str | None], list[str]]:
    """The names of the patients of some files, and the warnings."""
    names, warnings = name_patients({str(position): header for position, header in enumerate(headers)}, options)
    return [names.get(str(position)) for position in range(len(headers))], warnings


def one_header(path: Path, **elements) -> Header:
    write_dicom(path / "a", **elements)
    header = read_headers(path, ["a"])["a"]
    assert isinstance(header, Header)
    return header


def archive(root: Path, patients: int = 12, **elements) -> Path:
    """Class folders of files without a suffix, 3 of each patient, half of the patients in each class."""
    for patient in range(patients):
        for image in range(3):
            folder = "PNEUMONIA" if patient % 2 else "NORMAL"
            facts = {
                "PatientID": f"HOSP{patient:04}",
                "PatientSex": "MF"[patient % 2],
                "PatientAge": f"{40 + patient:03}Y",
            }
            seed = 3 * patient + image
            write_dicom(root / folder / f"IM{seed:04}", seed, **{"ViewPosition": "PA", **facts, **elements})
    return root


def test_a_headers_facts_are_read_without_its_pixels(tmp_path: Path) -> None:
    header = one_header(
        tmp_path, PatientID=" H 7 ", IssuerOfPatientID="St X", PatientSex="F", PatientAge="041Y", StudyDate="20200131",
        ViewPosition="AP", InstitutionName="General", Manufacturer="Acme", ManufacturerModelName="DR 1",
        StudyInstanceUID="1.2", AccessionNumber="A1", PatientBirthDate="19790101",
    )  # fmt: skip
    assert (header.patient_id, header.issuer, header.sex, header.age) == ("H 7", "St X", "F", 41.0)
    assert (header.date and header.date.isoformat(), header.view.name) == ("2020-01-31", "AP")
    assert (header.site, header.device, header.study, header.accession) == ("General", "Acme DR 1", "1.2", "A1")
    assert not header.ages_differ and header.refused is None


def test_no_name_address_or_telephone_number_is_ever_asked_for() -> None:
    names = {tag for tag in TAGS if "Name" in tag or "Address" in tag or "Telephone" in tag}
    assert names == {"InstitutionName", "StationName", "ManufacturerModelName", "ProtocolName"}


def test_an_age_comes_from_two_dates_where_it_is_not_stated(tmp_path: Path) -> None:
    header = one_header(tmp_path, PatientBirthDate="19500601", AcquisitionDate="20200601")
    assert header.age == pytest.approx(70, abs=0.01)
    assert math.isnan(one_header(tmp_path, PatientBirthDate="20500601", StudyDate="20200601").age)
    assert math.isnan(one_header(tmp_path, PatientBirthDate="18000101", StudyDate="20200601").age)
    assert one_header(tmp_path, PatientAge="041Y", PatientBirthDate="19500601", StudyDate="20200601").ages_differ


def test_the_same_id_has_the_same_hash_and_another_salt_another(tmp_path: Path, monkeypatch) -> None:
    (first,), _ = people(Header("H7", sex="F"))
    assert first is not None and re.fullmatch(r"p-[0-9a-f]{16}", first)
    assert people(Header(" h7", sex="M"))[0] == [first], "spaces and capitals do not make another person"
    assert people(Header("H7", sex="F"), options=HeaderOptions(salt="x"))[0] != [first]
    monkeypatch.setenv("CXR_SALT", "x")
    by_variable, by_text = (HeaderOptions(salt=salt) for salt in ("env:CXR_SALT", "x"))
    assert people(Header("H7"), options=by_variable) == people(Header("H7"), options=by_text)
    monkeypatch.delenv("CXR_SALT")
    with pytest.raises(UserError, match="CXR_SALT, which is not set"):
        people(Header("H7"), options=by_variable)
    with pytest.raises(UserError, match="environment variable"):
        parse(HeaderOptions, {"salt": "env:"}, "[data]")


def test_ids_stand_as_they_are_where_the_study_says_so() -> None:
    options = HeaderOptions(patient_ids="as_they_are")
    assert people(Header("H7"), Header("h7 "), Header("H8", issuer="St X"), options=options)[0] == [
        "H7",
        "H7",
        "st x / H8",
    ]


@pytest.mark.parametrize(
    "number", ["", "ANONYMOUS", "Anonymized", "0", "00000", "XXX", "N/A", "unknown", "De-Identified"]
)
def test_a_placeholder_is_nobody(number: str) -> None:
    names, warnings = people(*[Header(number)] * 3, Header("H7"), Header("H8"))
    assert names[:3] == [None] * 3 and None not in names[3:]
    assert len(warnings) == 1 and "3 of 5 DICOM headers name no patient" in warnings[0] and "both sides" in warnings[0]


def test_one_id_for_all_is_nobody() -> None:
    names, warnings = people(*[Header("KS-1")] * 5)
    assert names == [None] * 5 and "5 under one id for several people or for all" in warnings[0]
    one = [Header("KS-1", sex="F", birth=pd.Timestamp(1950, 1, 1).date())] * 5
    assert len({*people(*one)[0]}) == 1, "unless all of them are one woman born on one day"


def test_an_id_for_three_people_is_nobody() -> None:
    born = [pd.Timestamp(year, 1, 1).date() for year in (1940, 1960, 1980)]
    names, warnings = people(*(Header("PAT", birth=day) for day in born), Header("H7"))
    assert names[:3] == [None] * 3 and names[3] is not None and "3 under one id" in warnings[0]


def test_unknown_patients_of_one_study_are_kept_together() -> None:
    names, warnings = people(Header(study="1.1"), Header(study="1.1"), Header(study="1.2"), Header("H7"))
    assert names[0] == names[1] and str(names[0]).startswith("study-") and names[2] is None
    assert "2 of these images are kept together by study" in warnings[0]


def test_one_study_for_all_keeps_nobody_together() -> None:
    names, _ = people(*[Header(study="1.2.3")] * 6)
    assert names == [None] * 6


def test_an_issuer_tells_two_patients_apart() -> None:
    names, warnings = people(Header("7", issuer="A"), Header("7", issuer="B"), Header("7", issuer="A"))
    assert names[0] == names[2] != names[1] and not warnings


def test_an_issuer_that_some_files_leave_out_is_the_same() -> None:
    names, _ = people(Header("7", issuer="A"), Header("7"), Header("8", issuer="A"))
    assert names[0] == names[1]


def test_institutions_tell_two_people_of_one_id_apart() -> None:
    two = [
        Header("7", sex="F", site="North"),
        Header("7", sex="M", site="South"),
        Header("8"),
        Header("7", sex="F", site="North"),
    ]
    names, warnings = people(*two)
    assert names[0] == names[3] != names[1] and "different people at different institutions" in warnings[0]
    same, warnings = people(
        Header("7", sex="F", site="North"), Header("7", sex="F", site="NORTH Hospital"), Header("8")
    )
    assert same[0] == same[1] and not warnings, "an institution is written in many ways"


def test_two_people_of_one_id_at_one_place_stay_together_and_are_told() -> None:
    names, warnings = people(Header("7", sex="F"), Header("7", sex="M"), Header("8"))
    assert names[0] == names[1] and "differ in sex or birth date" in warnings[0]


def test_images_of_one_patient_are_on_one_side(tmp_path: Path) -> None:
    cohort = ImageFolder().cohort(archive(tmp_path))
    assert cohort.table["patient"].nunique() == 12 and cohort.table["patient_known"].all()
    (split,) = make_splits(cohort, SplitOptions())
    assert not leak(cohort.table, split) and split.validation
    assert cohort.table["sex"].value_counts().to_dict() == {"M": 18, "F": 18}
    assert cohort.table["age"].min() == 40 and cohort.table["view"].unique().tolist() == ["PA"]
    assert cohort.warnings == ()
    assert not any("HOSP" in str(cell) for cell in cohort.table.drop(columns=["image", "path"]).to_numpy().flat)


def test_the_studys_pattern_goes_before_the_header(tmp_path: Path) -> None:
    archive(tmp_path, patients=4)
    cohort = ImageFolder(patient_pattern=r"IM(000[0-5])").cohort(tmp_path)
    patients = cohort.table.set_index("image")["patient"]
    assert patients["NORMAL/IM0000"] == "0000"
    assert patients["NORMAL/IM0006"] == patients["NORMAL/IM0008"] and patients["NORMAL/IM0006"].startswith("p-")
    assert any("2 patients of the DICOM headers with several ids" in line for line in cohort.warnings)


def test_an_image_without_the_studys_id_is_called_as_others_of_its_patient_are(tmp_path: Path) -> None:
    archive(tmp_path, patients=2)
    cohort = ImageFolder(patient_pattern=r"IM000(0)").cohort(tmp_path)
    patients = cohort.table.set_index("image")["patient"]
    assert patients["NORMAL/IM0000"] == patients["NORMAL/IM0001"] == patients["NORMAL/IM0002"] == "0"


def test_a_tables_columns_go_before_the_header(tmp_path: Path) -> None:
    archive(tmp_path, patients=2, StudyDate="20200131")
    lines = ["image,label,sex,age,patient", "NORMAL/IM0000,0,F,,a", "NORMAL/IM0001,0,,30,", "PNEUMONIA/IM0003,1,,,"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = CsvTable(table="t.csv").cohort(tmp_path).table
    assert table["sex"].tolist() == ["F", "M", "F"] and table["age"].tolist() == [40, 30, 41]
    assert table["date"].tolist() == ["2020-01-31"] * 3
    assert table["patient"].tolist()[:2] == ["a", "a"] and table["patient"][2].startswith("p-")


def test_pictures_that_are_no_dicom_are_left_as_they_are(tmp_path: Path) -> None:
    archive(tmp_path, patients=2)
    Image.effect_noise((70, 70), 40).save(tmp_path / "NORMAL" / "a.png")
    Image.effect_noise((70, 70), 50).save(tmp_path / "NORMAL" / "IM9999", "png")
    table = ImageFolder().cohort(tmp_path).table.set_index("image")
    assert table["patient"]["NORMAL/a.png"] == "NORMAL/a.png" and table["patient"]["NORMAL/IM9999"] == "NORMAL/IM9999"
    assert table["sex"]["NORMAL/a.png"] is None


def test_a_file_called_as_a_picture_is_not_looked_into(tmp_path: Path) -> None:
    archive(tmp_path, patients=2)
    write_dicom(tmp_path / "NORMAL" / "b.jp2", PatientID="H7")
    table = ImageFolder().cohort(tmp_path).table.set_index("image")
    assert table["patient"]["NORMAL/b.jp2"] == "NORMAL/b.jp2"


def test_views_and_headers_that_say_nothing_are_told(tmp_path: Path) -> None:
    archive(tmp_path, patients=4, ViewPosition="", PatientID="ANONYMOUS")
    cohort: Cohort = ImageFolder().cohort(tmp_path)
    assert (cohort.table["patient"] == cohort.table["image"]).all()
    assert any("12 of 12 DICOM headers name no patient" in line for line in cohort.warnings)
    assert any("12 of 12 DICOM headers state no view" in line for line in cohort.warnings)


def test_a_damaged_header_is_counted(tmp_path: Path) -> None:
    archive(tmp_path, patients=2)
    data = (tmp_path / "NORMAL" / "IM0000").read_bytes()
    (tmp_path / "NORMAL" / "IM0000").write_bytes(data[:150] + b"\xff" * 40)
    assert "1 of 6 DICOM headers cannot be read" in ImageFolder().cohort(tmp_path).warnings


def test_an_element_of_many_megabytes_is_not_read(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", PatientID="H7", BodyPartExamined="CHEST")
    data = path.read_bytes()
    position = data.index(b"\x10\x00\x20\x00LO")
    long = b"\x10\x00\x20\x00UN\0\0" + (2**24).to_bytes(4, "little") + b"7" * 2**24
    path.write_bytes(data[:position] + long + data[position + 10 :])
    assert "an element of more than" in str(read_headers(tmp_path, ["a"])["a"])


def test_a_deflated_file_is_read(tmp_path: Path) -> None:
    assert one_header(tmp_path, syntax=DeflatedExplicitVRLittleEndian, PatientID="H7").patient_id == "H7"


def test_ages_that_lie_years_apart_are_of_two_people() -> None:
    day = pd.Timestamp(2020, 1, 31).date()
    for apart, dated, two in ((1, True, False), (5, True, True), (5, False, False), (30, False, True)):
        date = day if dated else None
        names, warnings = people(Header("7", age=40, date=date), Header("7", age=40 + apart, date=date), Header("8"))
        assert names[0] == names[1] and bool(warnings) == two, (apart, dated)


def test_one_id_of_three_images_may_be_one_patients() -> None:
    names, warnings = people(*[Header("KS-1")] * 3)
    assert names[0] is not None and len({*names}) == 1 and not warnings


def test_ages_that_disagree_with_the_dates_are_told(tmp_path: Path) -> None:
    archive(tmp_path, patients=2, PatientBirthDate="19300601", StudyDate="20200601")
    assert any(line.startswith("6 DICOM headers: the age and") for line in ImageFolder().cohort(tmp_path).warnings)


def test_headers_without_patients_are_not_told_where_the_study_names_all(tmp_path: Path) -> None:
    archive(tmp_path, patients=4, PatientID="ANONYMOUS")
    assert ImageFolder(patient_pattern=r"IM(\d+)").cohort(tmp_path).warnings == ()


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path, monkeypatch) -> None:
    write_dicom(tmp_path / "a", PatientID="H7")
    monkeypatch.setattr(dicom_header_module, "MAX_BYTES", 100)
    assert read_headers(tmp_path, ["a"])["a"] == "more than 100 bytes"


def test_a_header_with_values_that_the_standard_forbids_is_read_without_a_warning(tmp_path: Path) -> None:
    assert one_header(tmp_path, PatientID="H7", PatientAge="41", StudyInstanceUID="1.x.02").study == "1.x.02"
