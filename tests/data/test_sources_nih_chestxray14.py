"""NIH ChestX-ray14: multi-label findings to one binary question."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cxrlens.data.sources.nih_chestxray14 import NihChestXray14
from cxrlens.errors import UserError

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
LINES = [
    "00000002_000.png,No Finding,0,2,058Y,M,PA,",
    "00000001_000.png,Pneumonia|Mass,0,1,414,F,AP,",
    "00000001_001.png,Mass,1,1,59,F,AP,",
    "00000003_000.png,Pneumonia,0,3,010M,M,LL,",
]


def build(root: Path, folders: tuple[str, ...] = ("images",)) -> Path:
    root.mkdir(exist_ok=True)
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *LINES]) + "\n")
    for place, line in enumerate(LINES):
        folder = root / folders[place % len(folders)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((70, 70), 40 + place).save(folder / line.split(",")[0])
    return root


def test_an_image_is_positive_if_any_of_its_findings_is(tmp_path: Path) -> None:
    cohort = NihChestXray14().cohort(build(tmp_path))
    assert cohort.images == ["00000002_000.png", "00000001_000.png"]
    assert cohort.table["label"].tolist() == [0, 1]
    assert cohort.table["patient"].tolist() == ["2", "1"]
    assert cohort.left_out == {"finding Mass": 1, "view LL": 1}
    assert cohort.table[["Mass", "Hernia"]].to_numpy().tolist() == [[0, 0], [1, 0]]


def test_the_rest_may_be_the_negative_class(tmp_path: Path) -> None:
    cohort = NihChestXray14(negative="rest", views=()).cohort(build(tmp_path))
    assert cohort.table["label"].tolist() == [0, 1, 0, 1]


def test_old_age_forms_are_read_and_impossible_ages_are_unknown(tmp_path: Path) -> None:
    ages = NihChestXray14(negative="rest", views=()).cohort(build(tmp_path)).table["age"]
    assert ages.isna().tolist() == [False, True, False, False]
    assert ages.dropna().tolist() == [58.0, 59.0, pytest.approx(10 / 12)]


def test_the_twelve_parts_are_one_data_set(tmp_path: Path) -> None:
    root = build(tmp_path, ("images_001/images", "images_002/images", "images_003"))
    cohort = NihChestXray14(negative="rest", views=()).cohort(root)
    assert cohort.missing == {} and cohort.unlisted == ()
    assert cohort.table["path"].tolist()[:2] == [
        "images_001/images/00000002_000.png",
        "images_002/images/00000001_000.png",
    ]


def test_an_unknown_finding_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'Pnuemonia' never occurs .*'Pneumonia'"):
        NihChestXray14(positive=("Pnuemonia",)).cohort(build(tmp_path))


def test_two_tables_are_not_guessed_between(tmp_path: Path) -> None:
    (build(tmp_path) / "Data_Entry_2017.csv").write_text(HEADER)
    with pytest.raises(UserError, match="keep one of them"):
        NihChestXray14().cohort(tmp_path)


def test_the_real_part_is_read_whole(shared: Path) -> None:
    cohort = NihChestXray14().cohort(shared / "data" / "nih1000")
    assert cohort.table["label"].value_counts().to_dict() == {0.0: 500, 1.0: 500}
    assert not cohort.missing and not cohort.unlisted and not cohort.left_out
