"""How a run's images were read is kept with it, and is said wherever a user looks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app
from cxrlens.pipeline.external import evaluate_external
from cxrlens.pipeline.finished_run import reopen
from cxrlens.pipeline.report import write_page
from cxrlens.progress import Silent

STUDY = """
name = "deep"
[data]
source = "csv_table"
table = "labels.csv"
[images]
size = 64
[split]
validation = 0.4
[explain]
figures = []
gallery = false
methods = ["saliency"]
[training]
epochs = 1
batch = 8
[[models]]
name = "benchmark"
backbone = "benchmark_cnn"
"""
WINDOW = "unusable window ignored"


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def picture(seed: int, brightest: float = 0.9, side: int = 64) -> np.ndarray:
    coarse = Image.fromarray(np.random.default_rng(seed).random((6, 6)).astype(np.float32))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return 0.05 + (brightest - 0.05) * (smooth - smooth.min()) / np.ptp(smooth)


def save(path: Path, unit: np.ndarray, bits: int) -> Path:
    Image.fromarray(np.rint(unit * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)).save(path)
    return path


def save_dicom(path: Path, unit: np.ndarray) -> Path:
    """A raw detector image with a window off its values."""
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    header.Modality, header.PhotometricInterpretation, header.PresentationIntentType = (
        "DX",
        "MONOCHROME2",
        "FOR PROCESSING",
    )
    header.SamplesPerPixel, header.Rows, header.Columns = 1, *unit.shape
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.WindowCenter, header.WindowWidth = 60000, 100
    header.PixelData = np.rint(unit * 4095).astype(np.uint16).tobytes()
    header.save_as(path, enforce_file_format=True)
    return path


def data_set(folder: Path, seed: int = 0, bits: int = 12) -> Path:
    """24 patients: deep PNGs but for a dark one, a small one and a raw DICOM."""
    folder.mkdir(parents=True)
    names = []
    for number in range(24):
        unit = picture(100 * seed + number, 0.2 if number == 5 else 0.9, 40 if number == 6 else 64)
        if number == 7:
            names.append(save_dicom(folder / "raw.dcm", unit).name)
        else:
            names.append(save(folder / f"{number:02d}.png", unit, bits).name)
    table = {"image": names, "patient": [f"P{seed}-{n}" for n in range(24)], "label": [n % 2 for n in range(24)]}
    pd.DataFrame(table).to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "deep.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_set(tmp_path_factory.mktemp("deep") / "data")


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def deep(study: Path, data: Path, heard: Heard, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    """A run on files of 12 bits."""
    out = tmp_path_factory.mktemp("runs") / "deep"
    return cxrlens.run(cxrlens.Study.load(study), data, out=out, device="cpu", progress=heard)


def copy_of(run: cxrlens.Run, to: Path) -> cxrlens.Run:
    shutil.copytree(run.folder.path, to)
    return cxrlens.Run.open(to)


def test_a_run_keeps_the_depth_and_the_steps_and_says_them_before_training(deep: cxrlens.Run, heard: Heard) -> None:
    assert deep.depth == 12 and deep.results["depth"] == 12
    table = deep.cohort.set_index("image")
    assert table.loc["05.png", "depth"] == 12 and table.loc["05.png", "depth_alone"] == 10
    assert "read as 12 bits" in table.loc["00.png", "steps"]
    warnings = [*deep.results["warnings"]]
    note = "23 16-bit files hold 12-bit values (judged by their values): 0 is black, 4095 is white"
    assert heard.lines.count(note) == 1 and not any("hold 12-bit" in line for line in warnings)
    for text in ("1 image: 16-bit file read as 12 bits, as most", WINDOW, "FOR PROCESSING", "only 40 x 40 pixels"):
        assert any(text in line for line in warnings), text
        lines = [number for number, line in enumerate(heard.lines) if text in line and line.startswith("warning: ")]
        assert lines and lines[0] < next(number for number, line in enumerate(heard.lines) if "trained in" in line)


def test_predict_reads_a_new_image_as_the_training_images_were_read_and_says_when_it_disagrees(
    deep: cxrlens.Run, tmp_path: Path
) -> None:
    dark, unit = picture(900, 0.2), picture(901)
    files = [save(tmp_path / "dark8.png", dark, 8), save(tmp_path / "dark12.png", dark, 12)]
    files += [save(tmp_path / f"bright{bits}.png", unit, bits) for bits in (8, 12, 16)]
    table = deep.predict([*files, save_dicom(tmp_path / "raw.dcm", unit)], device="cpu").set_index("image")
    p = table["benchmark"]
    p.index = table.index = [Path(name).stem for name in table.index]
    assert abs(p["dark8"] - p["dark12"]) < 0.002 and np.ptp(p[["bright8", "bright12", "bright16"]]) < 0.002
    text = table["warnings"]
    assert text["bright12"] is None and text["bright8"] is None
    assert text["dark12"] == "16-bit file read as 12 bits, as most of the cohort is (by its own values: 10 bits)"
    assert "read as 16 bits, not as the 12 bits of most of the cohort" in text["bright16"]
    assert WINDOW in text["raw"] and "FOR PROCESSING" in text["raw"]


def test_the_commands_print_every_warning_by_image(deep: cxrlens.Run, tmp_path: Path) -> None:
    raw, small = save_dicom(tmp_path / "raw.dcm", picture(1)), save(tmp_path / "small.png", picture(2, side=40), 8)
    run, out = str(deep.folder.path), str(tmp_path / "table.csv")
    output = CliRunner().invoke(app, ["predict", run, str(raw), str(small), "--out", out]).output
    assert f"warning: {raw}: " in output and WINDOW in output and "only 40 x 40 pixels" in output
    assert pd.read_csv(out)["warnings"].notna().all()
    result = CliRunner().invoke(app, ["explain", run, str(raw), str(small), "--out", str(tmp_path / "maps.png")])
    for text in (WINDOW, "FOR PROCESSING", "only 40 x 40 pixels"):
        assert text in result.output, text


def test_evaluate_reads_other_images_likewise_and_notes_it(deep: cxrlens.Run, study: Path, tmp_path: Path) -> None:
    # Every image is dark, so that most of this set alone would be read as 10 bits.
    folder = data_set(tmp_path / "other", seed=7)
    for number, path in enumerate(sorted(folder.glob("*.png"))):
        save(path, picture(5000 + number, 0.2), 12)
    outcome = evaluate_external(deep, folder, device="cpu")
    assert any("23 16-bit files hold 12-bit values" in note for note in outcome.images.notes)
    assert any("23 images: 16-bit file read as 12 bits, as most of the cohort" in note for note in outcome.images.notes)
    assert any(WINDOW in note for note in outcome.images.notes) and any(
        WINDOW in note for note in outcome.to_json()["notes"]
    )
    by_image = outcome.predictions.set_index("image")["probability"]
    alone = deep.predict([folder / "00.png"], device="cpu")["benchmark"][0]
    assert abs(by_image["00.png"] - alone) < 1e-5


def test_the_page_counts_what_was_odd_and_what_was_converted(deep: cxrlens.Run, tmp_path: Path) -> None:
    page = write_page(deep.folder, path=tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Remarks from reading the files" in page
    for text in (WINDOW, "FOR PROCESSING", "only 40 x 40 pixels", "16-bit file read as 12 bits", "05.png"):
        assert text in page, text


def test_data_check_counts_them_in_the_table_and_in_json(study: Path, data: Path) -> None:
    plain = CliRunner().invoke(app, ["data", "check", str(study), "--data", str(data)]).output
    for text in (WINDOW, "FOR PROCESSING", "only 40 x 40 pixels", "How the files were read"):
        assert text in plain, text
    assert plain.count("hold 12-bit values") == 1 and plain.count("read as 12 bits") == 1  # the one odd file
    output = json.loads(CliRunner().invoke(app, ["data", "check", str(study), "--data", str(data), "--json"]).stdout)
    kinds = {group["kind"]: group for group in output["reading"]}
    plain = kinds["16-bit file read as 12 bits (largest value 3686)"]
    assert plain["count"] == 22 and not plain["warning"]
    assert sum(group["warning"] for group in output["reading"]) == 4
    assert any(WINDOW in line for line in output["warnings"]) and output["depth"] == 12


def test_the_plan_says_the_warnings_too(study: Path, data: Path) -> None:
    assert any(WINDOW in line for line in cxrlens.plan(cxrlens.Study.load(study), data, device="cpu").warnings)


def test_a_run_goes_on_with_the_same_images_and_is_reopened(deep: cxrlens.Run, study: Path, data: Path) -> None:
    before = deep.results
    heard = Heard()
    again = cxrlens.run(cxrlens.Study.load(study), data, out=deep.folder.path, device="cpu", progress=heard)
    assert again.results == before and any("already trained" in line for line in heard.lines)
    assert reopen(deep)[0].cache.depth == 12


@pytest.mark.parametrize("depth", ["12", 0, 17, 1.5, True])
def test_a_damaged_depth_is_refused(deep: cxrlens.Run, tmp_path: Path, depth: object) -> None:
    run = copy_of(deep, tmp_path / "copy")
    results = run.results
    results["depth"] = depth
    run.folder.write_json("results.json", results)
    with pytest.raises(cxrlens.UserError, match="depth"):
        run.predict([save(tmp_path / "a.png", picture(1), 12)], device="cpu")


def test_a_run_whose_deep_images_an_older_version_read_is_not_asked_about_new_ones(
    deep: cxrlens.Run, tmp_path: Path
) -> None:
    run = copy_of(deep, tmp_path / "copy")
    results = run.results
    del results["depth"]
    run.folder.write_json("results.json", results)
    image = save(tmp_path / "a.png", picture(1), 12)
    with pytest.raises(cxrlens.UserError, match=r"older version.*run its study again"):
        run.predict([image], device="cpu")
    table = run.cohort
    run.folder.write_table(run.folder.path / "cohort.csv", table.assign(bits=8))
    assert run.depth is None and run.predict([image], device="cpu")["benchmark"].notna().all()


def test_networks_of_other_depths_are_other_networks(
    deep: cxrlens.Run, study: Path, data: Path, tmp_path: Path
) -> None:
    """Where the same files were read by other bits (as an older version did), training is not gone on with."""
    other = tmp_path / "data"
    shutil.copytree(data, other)
    for path in other.glob("*.png"):
        save(path, picture(int(path.stem)), 14)
    with pytest.raises(cxrlens.UserError, match="trained on other images"):
        cxrlens.run(cxrlens.Study.load(study), other, out=copy_of(deep, tmp_path / "copy").folder.path, device="cpu")
