"""A folder a class."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from cxrlens.config import parse
from cxrlens.data.files import LINK_ADVICE
from cxrlens.data.sources.image_folder import ImageFolder
from cxrlens.data.split import patients_warning
from cxrlens.errors import UserError

KERMANY = r"person(\d+)_|(IM-\d+|NORMAL2-IM-\d+)"
NAMES = [
    "test/NORMAL/IM-0001-0001.jpeg",
    "test/PNEUMONIA/person1_virus_6.jpeg",
    "train/NORMAL/NORMAL2-IM-0007-0001.jpeg",
    "train/PNEUMONIA/person10_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
]


def build(root: Path, names: list[str] = NAMES) -> Path:
    for place, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((70, 70), 40 + place).save(root / name, "jpeg")
    return root


def test_the_class_is_a_folder_and_the_patient_is_in_the_name(tmp_path: Path) -> None:
    cohort = ImageFolder(positive=("PNEUMONIA",), negative=("NORMAL",), patient_pattern=KERMANY).cohort(build(tmp_path))
    assert cohort.images == NAMES
    assert cohort.table["label"].tolist() == [0, 1, 0, 1, 1]
    assert cohort.table["patient"].tolist() == ["IM-0001", "1", "NORMAL2-IM-0007", "10", "1"]
    assert cohort.table["finding"].tolist() == ["NORMAL", "PNEUMONIA", "NORMAL", "PNEUMONIA", "PNEUMONIA"]


def test_two_class_folders_with_a_known_negative_need_no_options(tmp_path: Path) -> None:
    cohort = ImageFolder().cohort(build(tmp_path))
    assert cohort.table["label"].tolist() == [0, 1, 0, 1, 1]
    assert cohort.table["patient"].tolist() == NAMES
    assert "no patient is known" in (patients_warning(cohort.table) or "")


@pytest.mark.parametrize("names", [["A/x.jpg", "B/y.jpg"], ["NORMAL/x.jpg", "A/y.jpg", "B/z.jpg"], ["NORMAL/x.jpg"]])
def test_classes_are_never_guessed(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UserError, match="the class folders are unclear"):
        ImageFolder().cohort(build(tmp_path, names))


def test_other_folders_are_counted_and_other_files_are_unlisted(tmp_path: Path) -> None:
    build(tmp_path, [*NAMES, "unsure/a.jpg"])
    (tmp_path / "train" / "NORMAL" / "notes.txt").write_text("")
    cohort = ImageFolder(positive=("PNEUMONIA",), negative=("NORMAL",)).cohort(tmp_path)
    assert cohort.left_out == {"folder unsure is no class": 1}
    assert cohort.unlisted == ("unsure/a.jpg",) and cohort.other_files == ("train/NORMAL/notes.txt",)


def test_a_file_under_both_classes_is_an_error(tmp_path: Path) -> None:
    build(tmp_path, ["pos/neg/a.jpg", "neg/b.jpg"])
    with pytest.raises(UserError, match="folders of both classes: pos, neg"):
        ImageFolder(positive=("pos",), negative=("neg",)).cohort(tmp_path)


def test_a_misspelt_class_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"positive: 'Pneumonia' never occurs .*; nearest: 'PNEUMONIA'"):
        ImageFolder(positive=("Pneumonia",), negative=("NORMAL",)).cohort(build(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patient_pattern": "person(\\d+"}, "not a regular expression"),
        ({"patient_pattern": "person\\d+"}, "needs a group"),
        ({"positive": ["A"]}, "both positive and negative"),
        ({"positive": ["A"], "negative": ["/"]}, "an entry is empty"),
    ],
)
def test_bad_options_are_refused_before_any_file_is_read(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(ImageFolder, options, "[data]")


def test_a_pattern_that_fits_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"matches no file name; the first is 'IM-0001-0001\.jpeg'"):
        ImageFolder(patient_pattern=r"patient(\d+)").cohort(build(tmp_path))


def test_a_link_out_of_the_folder_is_missing_with_its_reason(tmp_path: Path) -> None:
    root = build(tmp_path / "root")
    (root / "train" / "NORMAL" / "z.jpeg").symlink_to(build(tmp_path / "away", ["a.jpeg"]) / "a.jpeg")
    assert ImageFolder().cohort(root).missing == {
        "train/NORMAL/z.jpeg": f"a link out of the data folder: refused; {LINK_ADVICE}"
    }


def test_the_pediatric_set_is_read_with_its_patients(shared: Path) -> None:
    cohort = ImageFolder(patient_pattern=KERMANY).cohort(shared / "data" / "kermany")
    assert cohort.table["label"].value_counts().to_dict() == {1.0: 4273, 0.0: 1583}
    train = set(cohort.table["patient"][cohort.table["folder"].str.startswith("train/")])
    test = set(cohort.table["patient"][cohort.table["folder"].str.startswith("test/PNEU")])
    assert test & train, "the published split does not keep patients apart"


RADIOGRAPHY = [
    f"{name}/{kind}/{name}-{k}.png" for name in ("COVID", "Normal") for kind in ("images", "masks") for k in (1, 2)
]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positive": ("COVID",), "negative": ("Normal",)},
        {"positive": ("COVID/images",), "negative": ("Normal/images",)},
        {"positive": ("COVID",), "negative": ("Normal",), "exclude": ("*/masks/*",)},
    ],
)
def test_masks_beside_the_images_are_never_x_rays(tmp_path: Path, options: dict) -> None:
    cohort = ImageFolder(**options).cohort(build(tmp_path, RADIOGRAPHY))
    assert cohort.images == [name for name in RADIOGRAPHY if "/images/" in name]
    assert cohort.table["label"].tolist() == [1, 1, 0, 0]
    assert sum(cohort.left_out.values()) == 4


def test_masks_that_are_left_out_unasked_are_said(tmp_path: Path) -> None:
    cohort = ImageFolder(positive=("COVID",), negative=("Normal",)).cohort(build(tmp_path, RADIOGRAPHY))
    assert cohort.left_out == {"in folders named masks": 4}
    assert cohort.warnings == (
        "4 files are taken for masks, not for X-rays, and left out (4 in folders named masks); to use them, name their "
        'folder, as in positive = ["COVID/masks"]',
    )


def test_masks_are_used_where_the_study_names_their_folder(tmp_path: Path) -> None:
    cohort = ImageFolder(positive=("COVID/masks",), negative=("Normal/masks",)).cohort(build(tmp_path, RADIOGRAPHY))
    assert cohort.images == [name for name in RADIOGRAPHY if "/masks/" in name]


def test_a_mask_beside_its_image_is_left_out(tmp_path: Path) -> None:
    names = ["NORMAL/a.png", "NORMAL/a_mask.png", "TB/b.png", "TB/b-seg.png", "TB/face_mask.png"]
    cohort = ImageFolder().cohort(build(tmp_path, names))
    assert cohort.images == ["NORMAL/a.png", "TB/b.png", "TB/face_mask.png"]
    assert cohort.left_out == {"called as the mask of an image beside it": 2}


def test_a_path_of_folders_is_a_class_anywhere_and_misspelt_is_answered(tmp_path: Path) -> None:
    root = build(tmp_path, [f"set/{name}" for name in RADIOGRAPHY])
    assert len(ImageFolder(positive=("COVID/images",), negative=("set/Normal/images/",)).cohort(root)) == 4
    with pytest.raises(UserError, match=r"positive: 'COVID/image' never occurs .*; nearest: 'COVID/images'"):
        ImageFolder(positive=("COVID/image",), negative=("Normal/images",)).cohort(root)


def test_a_pattern_of_exclude_that_fits_nothing_is_said(tmp_path: Path) -> None:
    cohort = ImageFolder(exclude=("*/lateral/*", "train/*")).cohort(build(tmp_path))
    assert cohort.left_out == {"excluded by 'train/*'": 3}
    assert cohort.notes == ("exclude pattern '*/lateral/*' matched no file",) and not cohort.warnings


@pytest.mark.parametrize(
    ("pattern", "patients"),
    [
        (r"^([^/]+)/", ["P1", "P1", "P2"]),
        (r"(P\d+)/", ["P1", "P1", "P2"]),
        (r"study(\d)/", ["1", "2", "1"]),
        (r"^view(\d)", ["1", "1", "2"]),
        (r"(covid|normal)/", ["covid", "covid", "normal"]),
    ],
)
def test_the_patient_may_be_a_folder(tmp_path: Path, pattern: str, patients: list[str]) -> None:
    names = ["covid/P1/study1/view1.png", "covid/P1/study2/view1.png", "normal/P2/study1/view2.png"]
    cohort = ImageFolder(patient_pattern=pattern).cohort(build(tmp_path, names))
    assert cohort.table["patient"].tolist() == patients


def test_the_patient_may_be_a_folder_above_the_class(tmp_path: Path) -> None:
    names = ["P1/covid/1.png", "P1/normal/1.png", "P2/covid/1.png"]
    cohort = ImageFolder(patient_pattern=r"(P\d+)").cohort(build(tmp_path, names))
    assert cohort.table["patient"].tolist() == ["P1", "P1", "P2"]


def test_files_that_the_pattern_does_not_fit_are_counted(tmp_path: Path) -> None:
    cohort = ImageFolder(patient_pattern=r"(IM-\d+)").cohort(build(tmp_path))
    assert cohort.warnings == (r"patient_pattern '(IM-\d+)' does not fit 3 of 5 names: each is its own patient",)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("COVID", "Non-COVID"),
        ("covid", "noncovid"),
        ("TB", "No TB"),
        ("yes", "no"),
        ("1", "0"),
        ("sick", "Healthy"),
        ("pneumonia", "without_pneumonia"),
        ("Nodule", "No_Finding"),
        ("true", "false"),
    ],
)
def test_a_negative_is_known_by_its_name(tmp_path: Path, positive: str, negative: str) -> None:
    for place, names in enumerate(
        ([f"{positive}/a.jpg", f"{negative}/b.jpg"], [f"{positive}/P1/x/a.jpg", f"{negative}/P2/y/b.jpg"])
    ):
        cohort = ImageFolder().cohort(build(tmp_path / str(place), names))
        assert dict(zip(cohort.table["finding"], cohort.table["label"], strict=True)) == {positive: 1, negative: 0}


@pytest.mark.parametrize(
    "names",
    [
        ["normal/a.jpg", "healthy/b.jpg"],
        ["Non-COVID/a.jpg", "Normal/b.jpg"],
        ["Normal/P1/a.jpg", "COVID/P2/a.jpg", "Lung_Opacity/P3/a.jpg"],
        ["train/Normal/a.jpg", "train/COVID/b.jpg", "extra/c.jpg"],
        ["covid/0/a.jpg", "covid/1/b.jpg", "other/0/c.jpg", "other/1/d.jpg", "other/normal/e.jpg"],
    ],
)
def test_what_could_be_read_in_two_ways_is_asked(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UserError, match="the class folders are unclear"):
        ImageFolder().cohort(build(tmp_path, names))


def test_several_spellings_of_a_class_are_one_and_said(tmp_path: Path) -> None:
    names = ["train/Covid/1.png", "train/Normal/1.png", "val/COVID/1.png", "val/normal /1.png"]
    for options in ({}, {"positive": ("COVID",), "negative": ("Normal",)}):
        cohort = ImageFolder(**options).cohort(build(tmp_path, names))
        assert cohort.table["label"].tolist() == [1, 0, 1, 0] and cohort.table["finding"].nunique() == 2
        assert "written in another way" in cohort.warnings[0] and "'normal '" in cohort.warnings[0]


def test_the_data_folders_own_name_is_no_class(tmp_path: Path) -> None:
    names = ["covid/COVID/1.png", "covid/NORMAL/1.png"]
    for options in ({}, {"positive": ("COVID",), "negative": ("NORMAL",)}):
        assert ImageFolder(**options).cohort(build(tmp_path, names)).table["label"].tolist() == [1, 0]


def test_a_link_to_a_listed_file_is_no_second_image(tmp_path: Path) -> None:
    root = build(tmp_path)
    (root / "train" / "NORMAL" / "again.jpeg").symlink_to(root / NAMES[0])
    cohort = ImageFolder().cohort(root)
    assert cohort.images == NAMES
    assert cohort.left_out == {"links to files that are listed themselves": 1}
    assert cohort.origins == {"links to files that are listed themselves": "counted once"}
    (root / "train" / "PNEUMONIA" / "again.jpeg").symlink_to(root / NAMES[0])
    with pytest.raises(UserError, match=r"again\.jpeg is a link to test/NORMAL/.*of the other class"):
        ImageFolder().cohort(root)


def test_links_that_lead_nowhere_or_out_are_never_silent(tmp_path: Path) -> None:
    root = build(tmp_path / "root")
    (root / "train" / "NORMAL" / "gone.jpeg").symlink_to(tmp_path / "nothing.jpeg")
    (root / "more").symlink_to(build(tmp_path / "away", ["NORMAL/x.jpg"]))
    cohort = ImageFolder().cohort(root)
    assert cohort.missing == {"train/NORMAL/gone.jpeg": f"a link out of the data folder: refused; {LINK_ADVICE}"}
    assert any("not followed: more" in sentence for sentence in cohort.warnings)
    (root / "NORMAL").symlink_to(tmp_path / "away" / "NORMAL")
    with pytest.raises(UserError, match=r"'NORMALS' never occurs .*not followed: NORMAL, more"):
        ImageFolder(positive=("PNEUMONIA",), negative=("NORMALS",)).cohort(root)


def test_a_second_copy_of_the_set_inside_it_is_said(tmp_path: Path) -> None:
    root = build(tmp_path, [f"chest_xray/{inner}{name}" for inner in ("", "chest_xray/") for name in NAMES])
    assert "5 images in chest_xray/chest_xray" in ImageFolder().cohort(root).warnings[0]
    cohort = ImageFolder(exclude=("chest_xray/chest_xray/*",)).cohort(root)
    assert len(cohort) == 5 and not cohort.warnings


def test_every_readable_kind_is_listed_and_every_other_file_is_counted(tmp_path: Path) -> None:
    kinds = ["a.jfif", "b.JPE", "c.jp2", "d.j2k", "e.gif", "f.dic", "g.ima", "IM0001"]
    root = build(tmp_path, [*NAMES, *(f"train/NORMAL/{name}" for name in kinds)])
    others = ["train/NORMAL/a.jpg~", "train/NORMAL/b.png.bak", "train/NORMAL/.hidden.png", "__MACOSX/._a.png"]
    for name in others:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    cohort = ImageFolder().cohort(root)
    assert len(cohort) == len(NAMES) + len(kinds)
    assert set(cohort.other_files) == set(others) and cohort.unlisted == ()


def test_many_folders_of_no_class_are_counted_together(tmp_path: Path) -> None:
    root = build(tmp_path, [*NAMES, *(f"other/P{k}/a.jpg" for k in range(20))])
    cohort = ImageFolder(positive=("PNEUMONIA",), negative=("NORMAL",)).cohort(root)
    assert cohort.left_out == {"folder other is no class": 20}


def test_a_class_folder_is_found_whatever_the_unicode_form_of_its_name(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "Entzündung") for form in ("NFD", "NFC"))
    build(tmp_path, [f"{one}/a.jpg", f"{one}/b.jpg", "gesund/c.jpg"])
    for name in (one, two):
        cohort = ImageFolder(positive=(name,), negative=("gesund",)).cohort(tmp_path)
        assert cohort.table["label"].tolist() == [1, 1, 0] and not cohort.warnings


def test_a_folder_of_masks_beside_the_classes_is_no_class(tmp_path: Path) -> None:
    cohort = ImageFolder().cohort(build(tmp_path, ["NORMAL/a.png", "TB/b.png", "masks/c.png"]))
    assert cohort.images == ["NORMAL/a.png", "TB/b.png"] and sum(cohort.left_out.values()) == 1
