"""Every `[data]` of docs/public-data.md reads the layout that it is written for."""

from __future__ import annotations

import gzip
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrlens.config import parse
from cxrlens.data.cohort import Cohort
from cxrlens.data.sources import SOURCES, Source

PAGE = Path(__file__).parents[2] / "docs" / "public-data.md"
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = {
    f"{title} {number}": tomllib.loads(block)["data"]
    for title, text in SECTION.findall(PAGE.read_text(encoding="utf-8"))
    for number, block in enumerate(BLOCK.findall(text), start=1)
}


def draw(root: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (72, 80), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name, "PNG")


def write(root: Path, name: str, *lines: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*lines, ""]).encode()
    (root / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)


def chexpert(root: Path) -> None:
    views = [f"CheXpert-v1.0-small/train/patient0000{k}/study1/view1_frontal.jpg" for k in (1, 2, 3)]
    side = views[0].replace("view1_frontal", "view2_lateral")
    draw(root, *views, side)
    rows = [f"{views[0]},Female,60,Frontal,AP,1.0", f"{side},Female,60,Lateral,,1.0"]
    rows += [f"{views[1]},Male,61,Frontal,PA,-1.0", f"{views[2]},Male,62,Frontal,PA,"]
    write(root, "CheXpert-v1.0-small/train.csv", "Path,Sex,Age,Frontal/Lateral,AP/PA,Pneumonia", *rows)


def mimic(root: Path) -> None:
    draw(root, *(f"files/p10/p1000003{k}/s5041426{k}/02aa804e-bde0afd{k}.jpg" for k in (1, 2, 3)))
    images = [
        f"02aa804e-bde0afd{k},1000003{k},5041426{k},{view},2180050{k}" for k, view in ((1, "PA"), (2, "AP"), (3, "LL"))
    ]
    write(root, "mimic-cxr-2.0.0-metadata.csv.gz", "dicom_id,subject_id,study_id,ViewPosition,StudyDate", *images)
    labels = [f"1000003{k},5041426{k},{label}" for k, label in ((1, "1.0"), (2, "0.0"), (3, "-1.0"))]
    write(root, "mimic-cxr-2.0.0-chexpert.csv.gz", "subject_id,study_id,Pneumonia", *labels)


NIH = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
NIH_ROWS = ["1_0.png,Pneumonia|Mass,0,1,060Y,M,PA", "2_0.png,No Finding,0,2,061Y,F,AP", "3_0.png,Mass,0,3,062Y,F,AP"]


def nih(root: Path) -> None:
    draw(root, "images_001/images/1_0.png", "images_002/images/2_0.png", "images_002/images/3_0.png")
    write(root, "Data_Entry_2017_v2020.csv", NIH, *NIH_ROWS)


def nih_sample(root: Path) -> None:
    draw(root, *(f"sample/images/{k}_0.png" for k in (1, 2, 3)))
    write(root, "sample_labels.csv", NIH, *NIH_ROWS)


def rsna(root: Path) -> None:
    draw(root, "stage_2_train_images/0004cfab-14fd.dcm", "stage_2_train_images/00313ee0-9eaa.dcm")
    rows = ["0004cfab-14fd,,,,,0", "00313ee0-9eaa,264.0,152.0,213.0,379.0,1", "00313ee0-9eaa,562.0,152.0,256.0,453.0,1"]
    write(root, "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", *rows)


def padchest(root: Path) -> None:
    draw(root, "0/20536686640136348236148679891455886468_k6ga29.png", "12/1_2.png", "12/3_4.png")
    rows = [
        "0,20536686640136348236148679891455886468_k6ga29.png,0,20140915,8e2d,F,PA,\"['pneumonia', ' atelectasis']\"",
        "1,1_2.png,12,20140916,77a1,M,AP,['normal']",
        "2,3_4.png,12,20140917,77a2,M,L,['normal']",
    ]
    header = ",ImageID,ImageDir,StudyDate_DICOM,PatientID,PatientSex_DICOM,Projection,Labels"
    write(root, "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", header, *rows)


def vindr(root: Path) -> None:
    draw(root, "train/50a418190bc3fb1ef1633bf9678929b3.dicom", "train/21a10246a5ec7af151081d0cd6d65dc9.dicom")
    rows = [
        f"{image},R{k},{label}"
        for image, labels in (("50a418190bc3fb1ef1633bf9678929b3", "000"), ("21a10246a5ec7af151081d0cd6d65dc9", "010"))
        for k, label in enumerate(labels)
    ]
    write(root, "annotations/image_labels_train.csv", "image_id,rad_id,Pneumonia", *rows)


def vinbigdata(root: Path) -> None:
    draw(root, "train/50a4.dicom", "train/21a1.dicom", "train/9a5f.dicom")
    rows = ["50a4,No finding,14,R11,", "50a4,No finding,14,R9,", "21a1,Cardiomegaly,3,R9,691"]
    rows += ["21a1,Pleural effusion,10,R9,12", "9a5f,Cardiomegaly,3,R8,700"]
    write(root, "train.csv", "image_id,class_name,class_id,rad_id,x_min", *rows)


def radiography(root: Path) -> None:
    draw(
        root,
        *(
            f"{kind}/{inner}/{kind}-1.png"
            for kind in ("COVID", "Normal", "Lung_Opacity")
            for inner in ("images", "masks")
        ),
    )


def kermany(root: Path) -> None:
    names = ["train/PNEUMONIA/person1_virus_6.jpeg", "test/NORMAL/IM-0001-0001.jpeg"]
    draw(root, *(f"chest_xray/{copy}{name}" for copy in ("", "chest_xray/") for name in names))


LAYOUTS: dict[str, tuple[Callable[[Path], None], list[float], int]] = {
    "CheXpert 1": (chexpert, [1, 0], 2),
    "MIMIC-CXR-JPG 1": (mimic, [1, 0], 2),
    "NIH ChestX-ray14 1": (nih, [1, 0], 2),
    "NIH ChestX-ray14 2": (nih_sample, [1, 0], 2),
    "RSNA pneumonia challenge 1": (rsna, [0, 1], 2),
    "PadChest 1": (padchest, [1, 0], 2),
    "VinDr-CXR 1": (vindr, [0, 1], 2),
    "VinDr-CXR 2": (vinbigdata, [0, 1], 2),
    "COVID-19 Radiography Database 1": (radiography, [1, 0, 0], 3),
    "Pediatric pneumonia (Kermany et al. 2018) 1": (kermany, [0, 1], 2),
}


def test_every_recipe_has_a_layout_to_be_tried_on() -> None:
    assert set(RECIPES) == set(LAYOUTS)


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_reads_its_layout(name: str, tmp_path: Path) -> None:
    build, labels, patients = LAYOUTS[name]
    build(tmp_path)
    options = dict(RECIPES[name])
    source: Source = parse(SOURCES[options.pop("source")], options, "[data]")
    cohort: Cohort = source.cohort(tmp_path)
    assert cohort.table["label"].tolist() == labels and cohort.table["patient"].nunique() == patients
    assert not cohort.missing
    for path in cohort.table["path"]:
        assert cohort.read(path).pixels.ndim == 3
