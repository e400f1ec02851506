"""Which headers describe a frontal chest: no side view, no other body part, and no false refusal."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cxrlens.data.dicom_view import View, examine_view

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")


def header(**elements) -> Dataset:
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def item(code: Code | str, meaning: str = "", scheme: str = "SCT", modifiers: tuple[Dataset, ...] = ()) -> Dataset:
    coded = Dataset()
    coded.CodeValue = code if isinstance(code, str) else code.value
    coded.CodingSchemeDesignator = scheme if isinstance(code, str) else code.scheme_designator
    coded.CodeMeaning = meaning
    if modifiers:
        coded.ViewModifierCodeSequence = list(modifiers)
    return coded


def view(**elements) -> View:
    return examine_view(header(**elements))


SIDE = [
    "LL", "RL", "LAT", "lateral", "Lat.", "R LAT", "L-LAT", "LLAT", "LEFT LATERAL", "XTABLE LATERAL", "X-TABLE LAT",
    "cross-table lateral", "LATERO-MEDIAL", "LM", "ML", "LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "MLO", "OBLIQUE",
    "PA OBLIQUE", "AP OBL", "PA_LAO", "LATERAL1", "latéral", "seitlich", "胸部側面", "боковая",
    "Profil", "DORSAL DECUBITUS LATERAL",
]  # fmt: skip


@pytest.mark.parametrize("text", SIDE)
def test_a_side_view_is_refused_whatever_its_spelling(text):
    refused = view(ViewPosition=text).refused
    assert refused and "lateral or oblique view" in refused and text.upper() in refused


@pytest.mark.parametrize(
    ("text", "name"),
    [("PA", "PA"), ("AP", "AP"), ("pa", "PA"), ("P.A.", "PA"), ("A-P", "AP"), ("PA ERECT", "PA"), ("AP PORTABLE", "AP"),
     ("POSTERO-ANTERIOR", "PA"), ("Posterior/Anterior", "PA"), ("ANTERO_POSTERIOR", "AP"), ("FRONTAL", "frontal"),
     ("正面", "frontal")],
)  # fmt: skip
def test_a_frontal_view_is_taken_without_a_word_and_named(text, name):
    assert view(ViewPosition=text, BodyPartExamined="CHEST") == View(name)


@pytest.mark.parametrize(
    "text", ["PLATE", "FLAT", "LATERALITY R", "BILATERAL", "bi-lateral", "ILLNESS", "DILATED", "ALL"]
)
def test_words_that_only_hold_the_letters_are_no_side_view(text):
    assert view(ViewPosition="PA", SeriesDescription=text) == View("PA")
    assert view(SeriesDescription=f"Chest {text}") == View()


@pytest.mark.parametrize(
    ("text", "name"),
    [("LLD", "frontal decubitus"), ("AP RLD", "AP decubitus"), ("PA LLD", "PA decubitus"),
     ("LEFT LATERAL DECUBITUS", "frontal decubitus"), ("LAT DECUB AP", "AP decubitus"),
     ("AP AXIAL", "AP axial or lordotic"), ("LORDOTIC", "frontal axial or lordotic")],
)  # fmt: skip
def test_lying_and_tilted_frontal_views_are_taken_and_told(text, name):
    examined = view(ViewPosition=text)
    assert examined.refused is None and examined.name == name
    assert len(examined.warnings) == 1 and examined.warnings[0].startswith("unclear view (")


@pytest.mark.parametrize("concept", codes.cid4010.dir())
def test_every_code_of_the_standards_views_is_known(concept):
    code = getattr(codes.cid4010, concept)
    examined = view(ViewCodeSequence=[item(code)])  # without a meaning: the code alone has to do
    if concept in ("PosteroAnterior", "AnteroPosterior", "Frontal"):
        assert examined.refused is None and not examined.warnings
    elif concept == "AxialProjection":
        assert examined.refused is None and examined.warnings
    else:
        assert examined.refused, concept


@pytest.mark.parametrize(
    ("value", "name"), [("R-10214", "PA"), ("R-40888", "PA"), ("R-10206", "AP"), ("R-10202", "frontal")]
)
def test_former_codes_of_frontal_views_are_known(value, name):
    assert view(ViewCodeSequence=[item(value, scheme="SRT")]) == View(name)


def test_a_code_that_is_not_known_is_told():
    assert view(ViewCodeSequence=[item("MY-1", scheme="99MINE")]).warnings == (
        "unclear view (code MY-1), taken as frontal",
    )
    assert view(ViewCodeSequence=[item("MY-1", "left lateral", "99MINE")]).refused


@pytest.mark.parametrize("value", ["R-10236", "R-10232", "R-102CD", "R-10220", "R-10212"])
def test_former_codes_of_side_views_are_refused(value):
    assert view(ViewCodeSequence=[item(value, scheme="SRT")], ViewPosition="PA").refused


def test_a_modifier_of_a_code_counts():
    cross = item(codes.cid4011.Crosstable)
    assert view(ViewCodeSequence=[item(codes.cid4010.AnteroPosterior, modifiers=(cross,))]).warnings
    lateral = item("x", "lateral")
    assert view(ViewCodeSequence=[item("y", "projection", modifiers=(lateral,))]).refused


@pytest.mark.parametrize("field", ["SeriesDescription", "ProtocolName", "StudyDescription"])
@pytest.mark.parametrize("text", ["W Chest Lat.", "CHEST R LAT", "ThoraxLat", "CHEST_LATERAL", "chest obl"])
def test_a_description_decides_where_the_view_is_not_stated(field, text):
    refused = view(**{field: text}, ViewPosition="").refused
    assert refused and f"{field} says" in refused


def test_a_description_of_both_views_refuses_no_frontal_one():
    for text in ("PA and LAT", "CHEST PA/LAT", "XR CHEST 2 VW FRONTAL & LATERAL"):
        assert view(ViewPosition="PA", SeriesDescription=text, StudyDescription=text) == View("PA")


def test_a_description_of_both_views_alone_is_unclear():
    assert view(StudyDescription="CHEST PA & LAT").warnings == (
        "unclear view: the header names a frontal and a side view",
    )
    assert view(StudyDescription="CHEST PA & LAT", SeriesDescription="Lateral").refused
    assert view(StudyDescription="CHEST PA & LAT", SeriesDescription="AP") == View("AP")
    assert view(StudyDescription="CHEST PA & LAT", PatientOrientation=["P", "F"]).refused
    assert view(StudyDescription="CHEST PA & LAT", PatientOrientation=["L", "F"]) == View()


def test_a_header_that_contradicts_itself_is_taken_and_told():
    examined = view(ViewPosition="PA", SeriesDescription="Chest lateral")
    assert examined.refused is None and "contradicts itself" in examined.warnings[0]
    assert "contradicts itself" in view(ViewPosition="AP", PatientOrientation=["A", "F"]).warnings[0]
    examined = view(BodyPartExamined="HAND", SeriesDescription="Chest PA")
    assert examined.refused is None and "contradicts itself" in examined.warnings[0]


def test_a_side_view_by_code_or_position_goes_before_all_descriptions():
    assert view(ViewPosition="LATERAL", SeriesDescription="Chest PA", PatientOrientation=["L", "F"]).refused
    assert view(ViewPosition="PA", ViewCodeSequence=[item(codes.cid4010.LeftLateral)]).refused


@pytest.mark.parametrize("rows", ["A", "P", "AR", "PH"])
def test_rows_from_front_to_back_are_a_side_view(rows):
    assert "PatientOrientation" in (view(PatientOrientation=[rows, "F"]).refused or "")


@pytest.mark.parametrize("orientation", [["L", "F"], ["R", "F"], ["A", "R"], None, ""])
def test_other_orientations_refuse_nothing(orientation):
    assert view(PatientOrientation=orientation) == View()


@pytest.mark.parametrize(
    "part", ["HAND", "hand", "LEFT HAND", "ABDOMEN", "SKULL", "T-SPINE", "TSPINE", "THORACIC SPINE", "Knee", "BREAST"]
)
def test_another_body_part_is_refused(part):
    assert "another body part" in (view(BodyPartExamined=part, ViewPosition="PA").refused or "")


@pytest.mark.parametrize(
    "part", ["CHEST", "chest", "THORAX", "LUNG", "CHESTABDOMEN", "CHEST, ABDOMEN", "TORAX", "", None]
)
def test_a_chest_or_nothing_is_taken_without_a_word(part):
    assert view(BodyPartExamined=part, ViewPosition="PA") == View("PA")


@pytest.mark.parametrize("part", ["RIB", "HEART", "WHOLEBODY", "PORTABLE", "XYZ"])
def test_an_unclear_body_part_is_taken_and_told(part):
    examined = view(BodyPartExamined=part, ViewPosition="PA")
    assert examined.refused is None and f"unclear body part ({part})" in examined.warnings[0]


def test_the_code_of_the_region_stands_in_for_the_body_part():
    assert "another body part" in (view(AnatomicRegionSequence=[item(codes.cid4009.Hand, "Hand")]).refused or "")
    assert view(AnatomicRegionSequence=[item(codes.cid4009.Chest)]) == View()
    assert view(AnatomicRegionSequence=[item("T-D3000", "Chest", "SRT")]) == View()
    assert view(BodyPartExamined="CHEST", AnatomicRegionSequence=[item(codes.cid4009.Hand)]) == View()
    assert view(SeriesDescription="Hand PA").warnings, "another body part in a description alone gives a warning"
