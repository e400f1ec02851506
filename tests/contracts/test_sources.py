"""What every registered data source promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrlens.data.cohort import COLUMNS, NUMBER_COLUMNS, Cohort
from cxrlens.data.sources import SOURCES, Source
from cxrlens.errors import UserError
from support.dicom_files import write_dicom

Built = tuple[dict[str, object], list[str] | None]
"""Options, and the images in the order of the source's own table (None: the source draws them)."""


def _draw(root: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (72, 80), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)


def _covid_chestxray(root: Path) -> Built:
    _draw(root, "images/b.png", "images/a.jpg", "images/c.png")
    lines = ["patientid,finding,view,modality,filename", "1,COVID-19,PA,X-ray,b.png", ",SARS,AP,X-ray,a.jpg"]
    (root / "metadata.csv").write_text("\n".join([*lines, "1,,PA,X-ray,c.png"]))
    return {}, ["b.png", "a.jpg", "c.png"]


def _nih_chestxray14(root: Path) -> Built:
    _draw(root, "images/b.png", "images/a.png")
    lines = [
        "Image Index,Finding Labels,Patient ID,View Position",
        "b.png,No Finding,1,PA",
        "a.png,Edema|Pneumonia,2,AP",
    ]
    (root / "Data_Entry_2017.csv").write_text("\n".join(lines))
    return {"positive": ("Pneumonia",)}, ["b.png", "a.png"]


def _dicom_folder(root: Path) -> Built:
    write_dicom(root / "IM2", 2, PatientID="P2")
    write_dicom(root / "old" / "IM1.dcm", 1, PatientID="P1")
    (root / "labels.csv").write_text("file,label\nIM2,1\nIM1,0\n")
    return {"table": "labels.csv"}, ["IM2", "old/IM1.dcm"]


def _image_folder(root: Path) -> Built:
    _draw(root, "NORMAL/b.png", "sick/a.png")
    return {}, ["NORMAL/b.png", "sick/a.png"]


def _csv_table(root: Path) -> Built:
    _draw(root, "b.png", "a.png", "c.png")
    (root / "list.tsv").write_text("image\tlabel\nb.png\t1\na.png\t\nc.png\t0\n")
    return {"table": "list.tsv"}, ["b.png", "a.png", "c.png"]


def _phantom(root: Path) -> Built:
    return {"patients": 6}, None


BUILDERS: dict[str, Callable[[Path], Built]] = {
    "covid_chestxray": _covid_chestxray,
    "csv_table": _csv_table,
    "dicom_folder": _dicom_folder,
    "image_folder": _image_folder,
    "nih_chestxray14": _nih_chestxray14,
    "phantom": _phantom,
}


def _made(name: str, root: Path) -> tuple[Source, Cohort, list[str] | None]:
    assert name in BUILDERS, f"no builder for the data source '{name}': add one to BUILDERS that writes a small folder"
    options, images = BUILDERS[name](root)
    source = SOURCES[name](**options)
    return source, source.cohort(root if source.needs_data_dir else None), images


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_gives_a_cohort_of_the_same_form(name: str, tmp_path: Path) -> None:
    _, cohort, images = _made(name, tmp_path)
    table = cohort.table
    assert cohort.name == name
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS and table.columns.is_unique
    assert table["image"].is_unique and table["image"].map(bool).all()
    assert images is None or cohort.images == images, "the order is the source's own"
    assert table["patient"].map(lambda cell: isinstance(cell, str) and bool(cell)).all()
    assert table["label"].dropna().isin([0.0, 1.0]).all() and {0.0, 1.0} <= set(table["label"])
    assert all(table[column].dtype == np.float64 for column in NUMBER_COLUMNS)
    assert not (table == "").any(axis=None), "unknown is NaN or None, never an empty text"
    assert table.index.tolist() == list(range(len(table)))


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_listed_image_can_be_read(name: str, tmp_path: Path) -> None:
    _, cohort, _ = _made(name, tmp_path)
    assert len(cohort.readable)
    for path in cohort.readable["path"].head(3):
        decoded = cohort.read(path)
        assert decoded.pixels.dtype == np.float32 and decoded.pixels.ndim == 3 and len(decoded.pixels) == 1
        assert 0 <= decoded.pixels.min() < decoded.pixels.max() <= 1


@pytest.mark.parametrize("name", list(SOURCES))
def test_the_same_folder_gives_the_same_cohort(name: str, tmp_path: Path) -> None:
    source, cohort, _ = _made(name, tmp_path)
    again = source.cohort(tmp_path if source.needs_data_dir else None)
    assert again.table.equals(cohort.table) and again.missing == cohort.missing


@pytest.mark.parametrize("name", list(SOURCES))
def test_a_folder_that_is_not_there_is_the_users_to_mend(name: str, tmp_path: Path) -> None:
    source, _, _ = _made(name, tmp_path)
    if not source.needs_data_dir:
        pytest.skip("needs no folder")
    for root in (None, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"--data PATH|no folder"):
            source.cohort(root)


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_is_named_as_its_file(name: str) -> None:
    assert SOURCES[name].__module__ == f"cxrlens.data.sources.{name}"
    assert SOURCES[name].__doc__
