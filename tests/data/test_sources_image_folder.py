"""A folder a class."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cxrlens.config import parse
from cxrlens.data.leaks import patients_warning
from cxrlens.data.sources.image_folder import ImageFolder
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
    with pytest.raises(UserError, match="which folders are which class"):
        ImageFolder().cohort(build(tmp_path, names))


def test_other_folders_are_counted_and_other_files_are_unlisted(tmp_path: Path) -> None:
    build(tmp_path, [*NAMES, "unsure/a.jpg"])
    (tmp_path / "train" / "NORMAL" / "notes.txt").write_text("")
    cohort = ImageFolder(positive=("PNEUMONIA",), negative=("NORMAL",)).cohort(tmp_path)
    assert cohort.left_out == {"folder unsure is no class": 1}
    assert cohort.unlisted == ("train/NORMAL/notes.txt", "unsure/a.jpg")


def test_a_file_under_both_classes_is_an_error(tmp_path: Path) -> None:
    build(tmp_path, ["pos/neg/a.jpg", "neg/b.jpg"])
    with pytest.raises(UserError, match="folders of both classes: pos, neg"):
        ImageFolder(positive=("pos",), negative=("neg",)).cohort(tmp_path)


def test_a_misspelt_class_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"positive: 'Pneumonia' never occurs .*; nearest: 'PNEUMONIA'"):
        ImageFolder(positive=("Pneumonia",), negative=("NORMAL",)).cohort(build(tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patient_pattern": "person(\\d+"}, "not a regular expression"),
        ({"patient_pattern": "person\\d+"}, "needs a group"),
        ({"positive": ["A"]}, "both positive and negative"),
    ],
)
def test_bad_options_are_refused_before_any_file_is_read(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(ImageFolder, options, "[data]")


def test_a_pattern_that_fits_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fits no file name; the first is 'IM-0001-0001\.jpeg'"):
        ImageFolder(patient_pattern=r"patient(\d+)").cohort(build(tmp_path))


def test_a_link_out_of_the_folder_is_missing_with_its_reason(tmp_path: Path) -> None:
    root = build(tmp_path / "root")
    (root / "train" / "NORMAL" / "z.jpeg").symlink_to(build(tmp_path / "away", ["a.jpeg"]) / "a.jpeg")
    assert ImageFolder().cohort(root).missing == {"train/NORMAL/z.jpeg": "a link out of the data folder: refused"}


def test_the_pediatric_set_is_read_with_its_patients(shared: Path) -> None:
    cohort = ImageFolder(patient_pattern=KERMANY).cohort(shared / "data" / "kermany")
    assert cohort.table["label"].value_counts().to_dict() == {1.0: 4273, 0.0: 1583}
    train = set(cohort.table["patient"][cohort.table["folder"].str.startswith("train/")])
    test = set(cohort.table["patient"][cohort.table["folder"].str.startswith("test/PNEU")])
    assert test & train, "the published split does not keep patients apart"
