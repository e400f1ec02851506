"""Names in a table to files on disk: forgiving in spelling, strict about the folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrlens.data.files import data_root, list_files, relative_name
from cxrlens.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("on_disk", "asked"),
    [
        ("a.PNG", "a.png"),
        ("a.jpg", "a.JPG"),
        ("b.png ", "b.png"),
        ("c.png", " c.png "),
        (unicodedata.normalize("NFD", "Thorax-für.png"), unicodedata.normalize("NFC", "Thorax-für.png")),
        ("10.1016-slash-j.jcv.png", "10.1016-slash-j.jcv.png"),
        ("part/d.png", "part\\d.png"),
        ("肺 炎.png", "肺 炎.png"),
    ],
)
def test_an_oddly_spelt_name_finds_its_file(tmp_path: Path, on_disk: str, asked: str) -> None:
    assert list_files(touch(tmp_path, on_disk)).find(asked) == (on_disk, "")


def test_the_exact_name_wins_over_a_loose_one(tmp_path: Path) -> None:
    files = list_files(touch(tmp_path, "a.PNG", "a.png"))
    assert files.find("a.PNG") == ("a.PNG", "")
    assert files.find("a.Png") == (None, "2 files fit: a.PNG, a.png")


def test_another_case_of_the_stem_is_another_file(tmp_path: Path) -> None:
    assert list_files(touch(tmp_path, "A.png")).find("a.png") == (None, "no such file")


def test_names_are_found_relative_to_any_of_the_folders(tmp_path: Path) -> None:
    files = list_files(touch(tmp_path, "one/a.png", "two/b.png", "three/c.png"), ("one", "two"))
    assert files.find("a.png") == ("one/a.png", "") and files.find("b.png") == ("two/b.png", "")
    assert files.find("c.png")[0] is None


def test_what_no_row_names_is_counted_if_it_could_be_an_image(tmp_path: Path) -> None:
    files = list_files(touch(tmp_path, "a.png", "b.PNG", "IM0001", ".DS_Store", "notes.txt"))
    assert files.unlisted(["a.png"]) == ("IM0001", "b.PNG")


def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    outside, root = touch(tmp_path / "outside", "secret.png"), touch(tmp_path / "root", "real/a.png")
    (root / "b.png").symlink_to(outside / "secret.png")
    (root / "away").symlink_to(outside)
    (root / "again").symlink_to(root / "real")
    (root / "real" / "loop").symlink_to(root)
    files = list_files(root)
    assert files.find("b.png") == (None, "a link out of the data folder: refused")
    assert files.find("away/secret.png")[0] is None
    assert files.find("again/a.png") == ("again/a.png", "")
    with pytest.raises(UserError, match="a link out of"):
        list_files(root, ("away",))


def test_a_root_that_is_itself_a_link_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(touch(tmp_path / "root", "a.png"))
    assert list_files(tmp_path / "link").find("a.png") == ("a.png", "")


@pytest.mark.parametrize("cell", ["../a.png", "x/../../a.png", "/etc/passwd", "..\\a.png", "C:\\x\\a.png", ".", ""])
def test_a_name_that_leads_out_is_no_name(tmp_path: Path, cell: str) -> None:
    assert relative_name(cell, tmp_path) is None


@given(st.text(max_size=40))
def test_whatever_a_cell_says_it_stays_below_the_root(cell: str) -> None:
    name = relative_name(cell, Path("/data/root"))
    assert name is None or os.path.normpath(f"/data/root/{name}").startswith("/data/root/")


def test_an_absolute_name_below_the_root_is_accepted(tmp_path: Path) -> None:
    assert relative_name(str(tmp_path / "x" / "a.png"), tmp_path) == "x/a.png"


def test_the_layout_one_level_down_is_accepted_when_only_one_folder_has_it(tmp_path: Path) -> None:
    touch(tmp_path, "set-main/table.csv", "other/readme.txt")
    assert data_root(tmp_path, ("table.csv",), "table.csv") == tmp_path / "set-main"
    touch(tmp_path, "other/table.csv")
    with pytest.raises(UserError, match=r"several data sets; give one of .*other, .*set-main"):
        data_root(tmp_path, ("table.csv",), "table.csv")


def test_what_is_no_data_folder_is_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "data.zip", "empty/notes.txt")
    for root, said in [
        (None, "--data PATH"),
        (tmp_path / "nowhere", "no folder"),
        (tmp_path / "data.zip", "is a file; .*unpack"),
        (tmp_path / "empty", "does not hold table.csv; found: notes.txt"),
    ]:
        with pytest.raises(UserError, match=said):
            data_root(root, ("table.csv",), "table.csv")
