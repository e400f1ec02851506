"""`predict` and `explain` on images of the run itself, on images given twice, and on folders."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app

STUDY = """
name = "own images"
seeds = [0, 1]
[data]
source = "image_folder"
positive = ["COVID"]
negative = ["Normal"]
[images]
size = 64
[training]
epochs = 1
[explain]
figures = []
gallery = false
[[models]]
name = "side"
backbone = "benchmark_cnn"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for kind in ("COVID", "Normal"):
        (root / kind).mkdir()
        for place in range(6):
            Image.fromarray(random.integers(0, 255, (70, 70), np.uint8)).save(root / kind / f"{place}.png")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    out = tmp_path_factory.mktemp("runs")
    (out / "s.toml").write_text(STUDY)
    return cxrlens.run(cxrlens.Study.load(out / "s.toml"), data, out=out / "run", device="cpu")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (70, 70), np.uint8)).save(tmp_path / "new" / "n.png")
    return tmp_path / "new"


def test_images_of_the_run_are_named_by_their_side_whatever_they_are_called(
    run: cxrlens.Run, data: Path, new: Path
) -> None:
    shutil.copy(data / "COVID" / "0.png", new / "renamed.png")
    (new / "broken.png").write_text("x")
    table = run.predict([data, new], device="cpu")
    splits = pd.read_csv(run.folder.path / "splits.csv").set_index("image")["side"]
    for image, side in zip(table["image"], table["side"], strict=True):
        path = Path(image)
        if data in path.parents:
            assert side == splits[path.relative_to(data).as_posix()]
    by_name = dict(zip((Path(image).name for image in table["image"]), table["side"], strict=True))
    assert by_name["n.png"] == "new" and by_name["broken.png"] is None
    assert by_name["renamed.png"] == splits["COVID/0.png"]
    assert table["model side"].notna().sum() == len(table) - 1  # the model that is called "side"


def test_the_command_says_what_is_no_test_and_from_where_an_image_is_positive(
    run: cxrlens.Run, data: Path, new: Path
) -> None:
    printed = CliRunner().invoke(app, ["predict", str(run.folder.path), str(data), "--device", "cpu"])
    trained = (pd.read_csv(run.folder.path / "splits.csv")["side"] == "train").sum()
    output = " ".join(printed.output.split())
    assert printed.exit_code == 0 and f"12 of 12 images belong to this run ({trained} of them trained on)" in output
    value = run.operating_points()["threshold"].iloc[0]
    assert "P is uncalibrated: it is not the probability of the finding." in output
    assert f"An image counts as positive if P is at least {value:.3f} (chosen on" in output
    assert "the mean over a model's networks" in output
    output = CliRunner().invoke(app, ["predict", str(run.folder.path), str(new), "--device", "cpu"]).output
    assert "belong to this run" not in output and "counts as positive" in output


def test_a_threshold_close_to_1_is_also_written_in_decimals(run: cxrlens.Run, new: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run.folder.path, tmp_path / "sure")
    results = json.loads((copy / "results.json").read_text(encoding="utf-8"))
    results["models"][0]["threshold"]["value"] = 1 - 5.6e-10
    (copy / "results.json").write_text(json.dumps(results), encoding="utf-8")
    said = CliRunner().invoke(app, ["predict", str(copy), str(new), "--device", "cpu"]).output
    assert "if P is at least 1 − 5.6e-10 (" in said and "1 − 5.6e-10 stands for 0.99999999944: " in said
    said = CliRunner().invoke(app, ["predict", str(run.folder.path), str(new), "--device", "cpu"]).output
    assert "stands for" not in said


def test_a_file_that_is_named_and_lies_in_a_folder_is_looked_at_once(
    run: cxrlens.Run, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (new.parent / "link").symlink_to(new, target_is_directory=True)
    names = [new / "n.png", new, new.parent / "new" / ".." / "new" / "n.png", new.parent / "link" / "n.png"]
    table = run.predict(names, device="cpu")
    assert table["image"].tolist() == [str(new / "n.png")]
    command = ["predict", str(run.folder.path), *map(str, names), "--device", "cpu"]
    assert "3 files are given more than once and counted once" in CliRunner().invoke(app, command).output


def test_explain_names_what_to_give_in_place_of_a_folder(run: cxrlens.Run, new: Path, tmp_path: Path) -> None:
    out, empty = tmp_path / "maps.png", tmp_path / "empty"
    empty.mkdir()
    output = rf"takes images, not folders; got the folder .*name its images: {re.escape(str(new))}/\*\.png"
    with pytest.raises(cxrlens.UserError, match=output):
        run.explain([new], out=out)
    with pytest.raises(cxrlens.UserError, match="holds no image"):
        run.explain([new / "n.png", empty], out=out)
    assert not out.exists()
