"""A data set's table: an error names the line of each fault."""

from __future__ import annotations

import gzip
import importlib
from pathlib import Path

import pytest

from cxrlens.data.tables import extras, read_table
from cxrlens.errors import UserError


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_cells_are_text_without_outer_spaces_and_lines_count_quoted_breaks(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'image, note\na.png,"two\nlines"\n\nb.png,\n'), ("image",))
    assert table.rows["image"].tolist() == ["a.png", "b.png"]
    assert table.rows["note"].tolist() == ["two\nlines", ""]
    assert table.lines == (2, 5)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path, encoding: str) -> None:
    table = read_table(write(tmp_path, "image,site\r\na.png,Zürich\r\n".encode(encoding)), ("image", "site"))
    assert table.rows.to_dict("list") == {"image": ["a.png"], "site": ["Zürich"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (
            "filname,finding\na,b\n",
            r"line 1: no column 'filename' \(did you mean 'filname'\?\); columns found: filname, finding",
        ),
        ("filename,view\na.png,PA\nb.png\n", "line 3: 1 cells where the header has 2"),
        ("filename,view\na.png,PA,more\n", "line 2: 3 cells where the header has 2"),
        ("filename,view,view\na.png,PA,AP\n", "line 1: two columns are called 'view'"),
        (b"filename\na.png\nZ\xfcrich.png\n", "line 3: not UTF-8 text"),
        (b"filename\n\x00\x01\n", "line 2: a null byte"),
        ('filename\n"a.png\n', "line 2: unexpected end of data"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_table(write(tmp_path, content), ("filename",))


def test_an_absent_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the table .*none\.csv"):
        read_table(tmp_path / "none.csv")


def test_a_row_without_a_name_is_told_with_its_line(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "image,view\na.png,PA\n,AP\n"))
    with pytest.raises(UserError, match="line 3: the column image is empty"):
        table.need_filled("image")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_parts_the_header(tmp_path: Path, mark: str) -> None:
    table = read_table(write(tmp_path, mark.join(["image", "label"]) + "\n" + mark.join(["a.png", "1"]) + "\n"))
    assert table.rows.to_dict("list") == {"image": ["a.png"], "label": ["1"]}


def test_other_columns_are_kept_as_numbers_where_all_cells_are(tmp_path: Path) -> None:
    rows = read_table(write(tmp_path, "a,offset,survival,label,void\nx,3,Y,9,\ny,,,9,\n")).rows
    selected = extras(rows, ["a"], ["label"])
    assert list(selected) == ["offset", "survival", "table_label"]
    assert selected["offset"][0] == 3.0 and selected["offset"][1] != selected["offset"][1]
    assert selected["survival"] == ["Y", None]


def test_codes_stay_text(tmp_path: Path) -> None:
    text = "a,ward,site,uid,exp,value\nx,01,007,12345678901234567890,1e3,1.5e-05\ny,1,7,1,2,-0.5\n"
    rows = read_table(write(tmp_path, text)).rows
    assert extras(rows, ["a"], []) == {
        "ward": ["01", "1"],
        "site": ["007", "7"],
        "uid": ["12345678901234567890", "1"],
        "exp": ["1e3", "2"],
        "value": [1.5e-05, -0.5],
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_any_system_ends_them(tmp_path: Path, end: str) -> None:
    text = end.join(["image,note", 'a.png,"two\rlines"', "", "b.png,x"])
    table = read_table(write(tmp_path, "\ufeff" + text), ("image",))
    assert table.rows["image"].tolist() == ["a.png", "b.png"] and table.lines == (2, 5)
    assert table.rows["note"].tolist() == ["two\rlines", "x"]


def test_line_ends_may_be_mixed_and_faults_keep_their_line(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "image;label\r0.png;0\n1.png;1\r\n2.png;0"))
    assert table.rows["image"].tolist() == ["0.png", "1.png", "2.png"] and table.lines == (2, 3, 4)
    with pytest.raises(UserError, match="line 3: 1 cells where the header has 2"):
        read_table(write(tmp_path, "image,label\r0.png,0\r1.png\r"))
    with pytest.raises(UserError, match="line 3: not UTF-8 text"):
        read_table(write(tmp_path, b"filename\ra.png\rZ\xfcrich.png\r"))


def test_a_packed_table_is_unpacked(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, gzip.compress("image;Größe\na.png;1\n".encode("utf-8-sig"))))
    assert table.rows.to_dict("list") == {"image": ["a.png"], "Größe": ["1"]}
    with pytest.raises(UserError, match="damaged or truncated gzip"):
        read_table(write(tmp_path, gzip.compress(b"image\na.png\n" * 50)[:-12]))


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;", "sep=;;"])
def test_excels_first_line_names_the_delimiter(tmp_path: Path, first: str) -> None:
    table = read_table(write(tmp_path, f"{first}\r\nimage;label, of it\r\na.png;1\r\n"), ("image",))
    assert table.rows.to_dict("list") == {"image": ["a.png"], "label, of it": ["1"]} and table.lines == (3,)
    with pytest.raises(UserError, match="line 4: 1 cells"):
        read_table(write(tmp_path, f"{first}\r\nimage;label\r\na.png;1\r\nb.png\r\n"))


def test_excels_first_line_may_name_any_mark(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "sep=|\nimage|label;x\na.png|1\n"))
    assert table.rows.to_dict("list") == {"image": ["a.png"], "label;x": ["1"]}


def test_empty_lines_before_the_header_do_not_hide_its_delimiter(tmp_path: Path) -> None:
    assert list(read_table(write(tmp_path, "\n\r\nimage;label\na.png;1\n")).rows) == ["image", "label"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00\xe9[Content_Types].xml", 'a spreadsheet .* save it as CSV .*"CSV UTF-8"'),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", 'an Excel workbook .* save it as CSV .*"CSV UTF-8"'),
        (b"\r\n<!DOCTYPE html><p>Sign in", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
)
def test_other_formats_are_recognised_by_their_content(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_table(write(tmp_path, content))


def test_a_second_table_adds_its_columns_where_the_keys_agree(tmp_path: Path) -> None:
    images = read_table(write(tmp_path, "id,study,view\na,1,PA\nb,2,AP\nc,1,AP\n"))
    labels = read_table(write(tmp_path, "study,view,label\n1,x,0.0\n3,x,1.0\n"))
    assert images.joined(labels, ["study"]).rows.to_dict("list") == {
        "id": ["a", "b", "c"],
        "study": ["1", "2", "1"],
        "view": ["PA", "AP", "AP"],
        "label": ["0.0", "", "0.0"],
    }
    twice = read_table(write(tmp_path, "study,label\n1,0\n2,0\n1,1\n"))
    with pytest.raises(UserError, match=r"lines 2 and 4 have the same study \(1\)"):
        images.joined(twice, ["study"])
    with pytest.raises(UserError, match="no row of"):
        images.joined(read_table(write(tmp_path, "study,label\n9,0\n")), ["study"])


@pytest.mark.parametrize(("pack", "message"), [("bz2", "packed by bzip2"), ("lzma", "packed by xz")])
def test_an_error_names_the_program_that_packed_a_table(tmp_path: Path, pack: str, message: str) -> None:
    packed = importlib.import_module(pack).compress(b"image,label\na.png,1\n")
    (tmp_path / "t.csv").write_bytes(packed)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "t.csv")
