"""From images and models of odd names to the page: nothing crashes, nothing is lost, every file can be found again."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cxrlens
from cxrlens.errors import UserError
from cxrlens.run_folder import RunFolder

IMAGES = [
    b"r\xf6ntgen%d.png", b"[red]%d[].png", b"$a%d$ _x^2.png", b"<b>%d&.png", b"=cmd|%d.png", b"a\tb%d.png",
    b"n\nl%d.png", b"x" * 240 + b"%d.png", b"esc\x1b[31m%d.png", b"100%%25%d.png",
]  # fmt: skip
MODELS = ["images", "$$ _[/red] <script>alert(1)</script> 肺", "x" * 300]


def write_images(root: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for number in range(40):
        folder = root / ("normal" if number % 2 else "ill [x]")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (70, 70), dtype=np.uint8) + np.uint8(40 * (number % 2))
        with Path(os.fsdecode(os.fsencode(folder) + b"/" + IMAGES[number % 10] % number)).open("wb") as file:
            Image.fromarray(pixels).save(file, format="PNG")
    return root


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="such names cannot be there")
def test_odd_names_go_from_the_images_to_the_page(tmp_path: Path) -> None:
    study = cxrlens.Study.of(
        {
            "name": "my [bold]study[/] $x$ <i>",
            "data": {"source": "image_folder", "positive": ["ill [x]"], "negative": ["normal"]},
            "images": {"size": 64},
            "explain": {"figures": [1], "gallery": True, "methods": ["grad_cam"]},
            "training": {"epochs": 1, "steps": 1, "batch": 8, "head": "linear", "backbone": "resnet10t"},
            "models": [{"name": name} for name in MODELS],
        }
    )
    run = cxrlens.run(study, write_images(tmp_path / "data", 0), out=tmp_path / "run", device="cpu")
    names = run.cohort["image"].tolist()
    assert "ill [x]/r%F6ntgen0.png" in names and len(names) == 40 and run.cohort["missing"].isna().all()
    assert {*run.predictions["image"]} < {*names} and {*run.predictions["model"]} == {*MODELS}

    file = next(path for path in (tmp_path / "data" / "ill [x]").iterdir() if "ntgen0" in path.name)
    table = run.predict([file, tmp_path / "data" / "ill [x]" / "r%F6ntgen0.png"], device="cpu")
    assert table["image"].nunique() == 1 and table[MODELS].notna().all().all(), "the name in the table finds the file"
    RunFolder(tmp_path).write_table(tmp_path / "new.csv", table)
    assert pd.read_csv(tmp_path / "new.csv")["image"][0].endswith("r%F6ntgen0.png")

    run.explain([file], out=tmp_path / "maps.v1.2", device="cpu")
    assert len([*(tmp_path / "maps.v1.2").glob("*.npz")]) == 3 and (tmp_path / "maps.v1.2.pdf").exists()
    run.explain([file], out=tmp_path / "maps.v1.2.png", device="cpu")  # its own result, once more
    (tmp_path / "maps.v1.2" / "labels.csv").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files \(labels\.csv\)"):
        run.explain([file], out=tmp_path / "maps.v1.2", device="cpu")

    other = run.evaluate(write_images(tmp_path / "other", 1), device="cpu", ids_apart=True)
    output = json.loads(other.file.read_text(encoding="utf-8"))
    assert [model["name"] for model in output["models"]] == MODELS and output["images"]["evaluated"] == 40

    page = run.report().read_text(encoding="utf-8")
    island = json.loads(re.search(r'id="gallery-data">(.*?)</script>', page, re.S)[1])
    assert [model["name"] for model in island["models"]] == MODELS and all(m["maps"] for m in island["models"])
    assert {image["name"] for image in island["images"]} <= {*names}
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<i>" not in page
