"""Names in a table to files on disk: forgiving in spelling, strict about the folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxrlens.data.files import (
    IMAGE_SUFFIXES,
    LINK_ADVICE,
    find_data_dir,
    ignored_files,
    list_files,
    looks_like_image,
    mask_files,
    mask_folder,
    relative_name,
)
from cxrlens.data.raster import FORMATS
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
    assert files.others() == (".DS_Store", "notes.txt")


def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    outside, root = touch(tmp_path / "outside", "secret.png"), touch(tmp_path / "root", "real/a.png")
    (root / "b.png").symlink_to(outside / "secret.png")
    (root / "away").symlink_to(outside)
    (root / "again").symlink_to(root / "real")
    (root / "real" / "loop").symlink_to(root)
    files = list_files(root)
    assert files.find("b.png") == (None, f"a link out of the data folder: refused; {LINK_ADVICE}")
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
    assert find_data_dir(tmp_path, ("table.csv",), "table.csv") == tmp_path / "set-main"
    touch(tmp_path, "other/table.csv")
    with pytest.raises(UserError, match=r"several data sets; give one of .*other, .*set-main"):
        find_data_dir(tmp_path, ("table.csv",), "table.csv")


def test_what_is_no_data_folder_is_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "data.zip", "empty/notes.txt")
    for root, message in [
        (None, "--data PATH"),
        (tmp_path / "nowhere", "no folder"),
        (tmp_path / "data.zip", "is a file; .*unpack"),
        (tmp_path / "empty", "does not hold table.csv; it holds: notes.txt"),
    ]:
        with pytest.raises(UserError, match=message):
            find_data_dir(root, ("table.csv",), "table.csv")


def test_every_format_that_is_decoded_is_known_by_its_suffixes() -> None:
    Image.init()
    written = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert written <= IMAGE_SUFFIXES
    names = ["a.jfif", "a.JPE", "a.jp2", "a.j2k", "a.gif", "a.dic", "a.IMA", "a.jpeg2000", "1.2.840.10008"]
    assert all(map(looks_like_image, names))
    others = ["a.jpg~", "a.png.bak", "a.txt", "DICOMDIR", "README", "__MACOSX/a.png", ".git/a.png"]
    assert not any(map(looks_like_image, others))


def test_a_study_file_beside_the_images_is_not_counted_and_any_other_is(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[data]\nsource = "image_folder"\n')
    (tmp_path / "other.toml").write_text('[tool]\nname = "x"\n')
    (tmp_path / "broken.toml").write_text("[data")
    others = list_files(tmp_path).others()
    assert others == ("broken.toml", "other.toml")
    assert ignored_files([], others[:1]) == ["ignored 1 file that is not an image (.toml)"]


def test_ignored_files_are_counted_by_kind() -> None:
    assert ignored_files([], []) == []
    assert ignored_files(["a.png"] * 4, ["n.txt", "x/.DS_Store", "b.png.bak", "c.TXT"]) == [
        "ignored 4 image files that no row lists (a.png, a.png, a.png and 1 more)",
        "ignored 4 files that are not images (2 .txt, 1 hidden, 1 .bak)",
    ]


def test_a_link_to_nothing_is_listed_with_its_reason(tmp_path: Path) -> None:
    (touch(tmp_path, "a.png") / "b.png").symlink_to(tmp_path / "gone.png")
    files = list_files(tmp_path)
    assert files.paths == ("a.png", "b.png")
    assert files.find("b.png") == (None, "a link to a file that is not there")


def test_two_paths_by_a_link_are_one_file(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.png", ".git/annex/k1.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "real" / "a.png")
    (tmp_path / "again").symlink_to(tmp_path / "real")
    for name in ("x.png", "y.png"):  # two images of equal content, as git-annex keeps them
        (tmp_path / name).symlink_to(tmp_path / ".git" / "annex" / "k1.png")
    files = list_files(tmp_path)
    assert {files.same_file(path) for path in ("real/a.png", "b.png", "again/a.png")} == {"real/a.png"}
    assert files.same_file("x.png") != files.same_file("y.png")


def test_links_out_are_followed_where_the_user_named_the_folder(tmp_path: Path) -> None:
    outside, root = touch(tmp_path / "outside", "x/a.png"), touch(tmp_path / "root", "b.png")
    (root / "linked").symlink_to(outside)
    (root / "c.png").symlink_to(outside / "x" / "a.png")
    (outside / "loop").symlink_to(root)
    assert list_files(root, links_out=True).paths == ("b.png", "c.png", "linked/x/a.png")
    assert list_files(root).refused["linked"] == f"a link to a folder out of the data folder: refused; {LINK_ADVICE}"


@pytest.mark.parametrize("below", ["", "images"])
def test_a_hub_caches_snapshot_is_read_through_its_links_and_nothing_else_is(tmp_path: Path, below: str) -> None:
    cache = touch(tmp_path / "hub" / "datasets--some--xrays", "blobs/0af3", "blobs/9bc1", "snapshots/c0ffee/README.md")
    touch(tmp_path / "hub" / "datasets--other--secret", "blobs/5ec7")
    root = cache / "snapshots" / "c0ffee" / below
    (root / "positive").mkdir(parents=True)
    up = "../" * (4 if below else 3)
    (root / "positive" / "a.png").symlink_to(f"{up}blobs/0af3")
    (root / "b.png").symlink_to(root.joinpath("positive", up, "blobs", "9bc1").resolve())
    (root / "c.png").symlink_to(f"{up}../datasets--other--secret/blobs/5ec7")
    (root / "d.png").symlink_to("/etc/hostname")
    files = list_files(root)
    assert files.find("positive/a.png") == ("positive/a.png", "") and files.find("b.png") == ("b.png", "")
    assert set(files.refused) == {"c.png", "d.png"} and "cp -rL" in files.refused["d.png"]


@pytest.mark.parametrize(("folders", "store"), [("snapshots", "store"), ("versions", "blobs")])
def test_a_folder_that_is_a_hub_cache_by_half_opens_no_other(tmp_path: Path, folders: str, store: str) -> None:
    outside, root = touch(tmp_path / store, "x.png"), touch(tmp_path / folders / "one", "a.png")
    (root / "b.png").symlink_to(outside / "x.png")
    assert set(list_files(root).refused) == {"b.png"}


@pytest.mark.parametrize("name", ["p1-scan", "p1-scan.dcm", "deep/p1-scan", "deep\\p1-scan"])
def test_a_name_without_its_suffix_or_folders_finds_its_only_file(tmp_path: Path, name: str) -> None:
    files = list_files(touch(tmp_path, "set/deep/p1-scan.dcm", "set/p2-scan.dcm", "set/x-p1-scan.dcm"))
    assert files.find(name) == ("set/deep/p1-scan.dcm", "")
    assert files.is_nested(name, "set/deep/p1-scan.dcm")


def test_an_identifier_is_never_found_where_several_files_fit(tmp_path: Path) -> None:
    files = list_files(touch(tmp_path, "a.png", "a.dcm", "x/b.png", "y/b.png", "1.2.3.dcm"))
    assert files.find("a") == (None, "2 files fit: a.dcm, a.png")
    assert files.find("b.png") == (None, "2 files fit: x/b.png, y/b.png")
    assert files.find("b") == (None, "2 files fit: x/b.png, y/b.png")
    assert files.find("1.2.3") == ("1.2.3.dcm", "") and not files.is_nested("1.2.3", "1.2.3.dcm")
    assert files.find("a.jpg") == (None, "no such file"), "another kind of file is another file"


def test_a_name_is_not_found_among_masks(tmp_path: Path) -> None:
    files = list_files(touch(tmp_path, "masks/a.png", "labels/b.png", "images/b.png"))
    assert files.find("a.png") == (None, "no such file")
    assert files.find("b.png") == ("images/b.png", "")
    assert files.find("masks/a.png") == ("masks/a.png", "")


@pytest.mark.parametrize(
    "below", ["masks", "Mask", "lung masks", "infection_masks", "leftMask", "segmentation", "labels"]
)
def test_folders_of_masks_are_known_by_their_names(below: str) -> None:
    assert mask_folder(["train", "COVID"], [below]) == below


def test_a_folder_of_images_is_no_folder_of_masks(tmp_path: Path) -> None:
    assert mask_folder(["Lung Segmentation Data", "labelled", "COVID"], ["images", "seg1 patients", "P1"]) is None
    assert mask_folder(["masks", "COVID"], []) == "masks"
    assert mask_files(["x.png", "x_mask.jpg", "y_mask.png", "z-seg.png", "Z.png"]) == {"x_mask.jpg", "z-seg.png"}


def test_a_path_is_outside_only_if_its_real_path_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "data" / "set", "images/a.png")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    inside, through = str(root / "images" / "a.png"), str(tmp_path / "link" / "images" / "a.png")
    for folder in (root, tmp_path / "link", Path("../data/set"), Path("../link")):
        for cell in (inside, through, "images/../images/a.png", "../set/images/a.png"):
            assert relative_name(cell, folder) == "images/a.png", (folder, cell)
        assert relative_name("../other/a.png", folder) is None
        assert relative_name(str(tmp_path / "data" / "settings.png"), folder) is None
