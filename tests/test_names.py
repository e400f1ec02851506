"""Names of files go into text and come back, whatever their bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxrlens.data.cache import build_cache
from cxrlens.data.files import list_files
from cxrlens.data.sources.image_folder import ImageFolder
from cxrlens.files import write_text
from cxrlens.names import name_of, path_of, short_name, visible
from cxrlens.pipeline.predict import columns
from cxrlens.run_folder import RunFolder
from cxrlens.study import folder_name

posix = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
LATIN = b"r\xf6ntgen 100%.png"  # no UTF-8


def image(path: bytes | Path, level: int) -> None:
    picture = Image.new("L", (70, 70), level)
    picture.putpixel((3, 3), 255 - level)
    with Path(os.fsdecode(path)).open("wb") as file:
        picture.save(file, format="PNG")


@posix
@given(st.binary(min_size=1, max_size=20).filter(lambda raw: b"/" not in raw and b"\0" not in raw))
def test_every_name_becomes_text_that_utf_8_holds(raw: bytes) -> None:
    text = name_of(os.fsdecode(raw))
    assert text.encode().decode() == text
    assert visible(text).isprintable() or not text.isascii()


@posix
@pytest.mark.parametrize("raw", [LATIN, b"\xff", "肺 é.png".encode(), b"plain.png", b"%F6.png", b"a\xf6%41.png"])
def test_a_name_is_found_again_by_its_text(raw: bytes, tmp_path: Path) -> None:
    image(os.fsencode(tmp_path) + b"/" + raw, 9)
    assert os.fsencode(path_of(name_of(os.fsdecode(raw)), tmp_path).name) == raw
    assert path_of(tmp_path / name_of(os.fsdecode(raw))).exists()


@posix
def test_a_folder_of_images_from_an_old_code_page_is_listed_read_and_written(tmp_path: Path) -> None:
    data = tmp_path / "100%F6"  # the folder's own name is no code
    for place, label in enumerate(("normal", "pneumonia")):
        (data / label).mkdir(parents=True)
        image(os.fsencode(data / label) + b"/" + LATIN, 20 + 100 * place)
        image(data / label / "plain.png", 30 + 100 * place)
    cohort = ImageFolder(positive=("pneumonia",), negative=("normal",)).cohort(data)
    assert "normal/r%F6ntgen 100%25.png" in cohort.images and not cohort.missing
    cache = build_cache(cohort, 64, folder=tmp_path / "cache")
    assert len(cache.index) == 4 and not cache.missing
    run = RunFolder(tmp_path / "run")
    run.write_table(run.path / "cohort.csv", cohort.table)
    assert run.read_table(run.path / "cohort.csv")["image"].tolist() == cohort.images
    assert list_files(data).find("normal/r%F6ntgen 100%25.png")[0] == "normal/r%F6ntgen 100%25.png"


def test_what_is_written_is_utf_8_whatever_comes(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "r\udcf6ntgen 肺")
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "r%F6ntgen 肺"
    RunFolder(tmp_path).write_table(tmp_path / "a.csv", pd.DataFrame({"image": ["r\udcf6ntgen"]}))
    assert (tmp_path / "a.csv").read_bytes() == b"image\nr%F6ntgen\n"
    write_text(tmp_path / ("x" * 250), "a name as long as a file's may be")


def test_a_models_folder_is_short_enough_and_its_own() -> None:
    one, other = folder_name("x" * 300), folder_name("x" * 301)
    assert one != other and max(len(one), len(folder_name("肺" * 300).encode())) <= 110
    assert folder_name("Images") != "images", "the gallery keeps its images in a file of that name"
    assert {folder_name(name) for name in ("CON", "nul.txt")} == {"con-model", "nul.txt-model"}, "devices on Windows"
    assert short_name("a" * 99) == "a" * 99


@posix
def test_an_ascii_locale_reaches_the_same_files(tmp_path: Path) -> None:
    image(os.fsencode(tmp_path) + b"/" + "röntgen.png".encode(), 9)
    code = (
        "import sys; from pathlib import Path; from cxrlens.names import name_of, path_of\n"
        "root = Path(sys.argv[1]); (file,) = root.iterdir()\n"
        "assert name_of(file.name) == 'r\\xf6ntgen.png' and path_of('r\\xf6ntgen.png', root).exists()"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=os.environ | locale, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "names", [("image", "model image"), ("model image", "image", "model model image"), ("problem",)]
)
def test_each_model_has_a_column_of_its_own_whatever_it_is_called(names: tuple[str, ...]) -> None:
    result = list(columns(names).values())
    assert (
        len(result) == len(names) == len({*result, "image", "problem", "warnings"} - {"image", "problem", "warnings"})
    )
