"""A data set's table: every fault is told with its line."""

from __future__ import annotations

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
    ("content", "said"),
    [
        ("", "is empty"),
        (
            "filname,finding\na,b\n",
            r"line 1: no column 'filename' \(is it 'filname'\?\); columns found: filname, finding",
        ),
        ("filename,view\na.png,PA\nb.png\n", "line 3: 1 cells where the header has 2"),
        ("filename,view\na.png,PA,more\n", "line 2: 3 cells where the header has 2"),
        ("filename,view,view\na.png,PA,AP\n", "line 1: two columns are called 'view'"),
        (b"filename\na.png\nZ\xfcrich.png\n", "line 3: not UTF-8 text"),
        (b"filename\n\x00\x01\n", "line 2: a null byte"),
        ('filename\n"a.png\n', "line 2: unexpected end of data"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_table(write(tmp_path, content), ("filename",))


def test_an_absent_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the table .*none\.csv"):
        read_table(tmp_path / "none.csv")


def test_an_image_listed_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "image\na.png\nb.png\na.png \n"))
    with pytest.raises(UserError, match=r"'a\.png' in lines 2 and 4"):
        table.need_unique("image")


def test_a_row_without_a_name_is_told_with_its_line(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "image,view\na.png,PA\n,AP\n"))
    with pytest.raises(UserError, match="line 3: no image"):
        table.need_unique("image")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_parts_the_header(tmp_path: Path, mark: str) -> None:
    table = read_table(
        write(tmp_path, mark.join(["image", "label"]) + "\n" + mark.join(["a.png", "1"]) + "\n"), (), ",;\t"
    )
    assert table.rows.to_dict("list") == {"image": ["a.png"], "label": ["1"]}


def test_other_columns_are_kept_as_numbers_where_all_cells_are(tmp_path: Path) -> None:
    rows = read_table(write(tmp_path, "a,offset,survival,label,void\nx,3,Y,9,\ny,,,9,\n")).rows
    kept = extras(rows, ["a"], ["label"])
    assert list(kept) == ["offset", "survival", "table_label"]
    assert kept["offset"][0] == 3.0 and kept["offset"][1] != kept["offset"][1]
    assert kept["survival"] == ["Y", None]
