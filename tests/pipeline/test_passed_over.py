"""Every file that is passed over is counted where the user looks: data check, run and predict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app
from cxrlens.pipeline.external import external_images
from cxrlens.pipeline.prepare import decode_images
from cxrlens.progress import Silent

STUDY = """
name = "passed over"
[data]
source = "image_folder"
positive = ["COVID"]
negative = ["Normal"]
[images]
size = 64
"""


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for kind in ("COVID", "Normal"):
        for place in range(6):
            for inner in ("images", "masks"):
                path = root / kind / inner / f"{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.effect_noise((70, 70), 30 + 7 * place + len(kind)).save(path)
        (root / kind / "images" / "notes.txt").write_text("")
    Image.effect_noise((70, 70), 9).save(root / "loose.png")
    return root


def study(tmp_path: Path) -> Path:
    (tmp_path / "s.toml").write_text(STUDY + '[[models]]\nname = "m"\nbackbone = "benchmark_cnn"\n')
    return tmp_path / "s.toml"


def test_data_check_counts_what_is_not_used(folder: Path, tmp_path: Path) -> None:
    file = str(study(tmp_path))
    printed = CliRunner().invoke(app, ["data", "check", file, "--data", str(folder)])
    assert printed.exit_code == 0, printed.output
    assert "not used: 12 files: in folders named masks" in printed.output
    assert "ignored 13 image files that no row lists (COVID/masks/0.png, " in printed.output
    assert "ignored 2 files that are not images (2 .txt)" in printed.output
    assert "left out by the study" not in printed.output
    assert "12 files are taken for masks, not for X-rays, and left out" in printed.output
    output = json.loads(CliRunner().invoke(app, ["data", "check", file, "--data", str(folder), "--json"]).stdout)
    assert output["other_files"] == ["COVID/images/notes.txt", "Normal/images/notes.txt"]


def test_a_run_says_what_is_not_used_and_its_report_what_was_taken_for_masks(folder: Path, tmp_path: Path) -> None:
    heard = Heard()
    text = study(tmp_path).read_text() + "[training]\nepochs = 1\n[explain]\nfigures = []\ngallery = false\n"
    study(tmp_path).write_text(text)
    run = cxrlens.run(
        cxrlens.Study.load(tmp_path / "s.toml"), folder, out=tmp_path / "run", device="cpu", progress=heard
    )
    assert any(line.startswith("ignored 13 image files that no row lists") for line in heard.lines)
    assert any(line.startswith("ignored 2 files that are not images") for line in heard.lines)
    assert any(line.startswith("warning: 12 files are taken for masks") for line in heard.lines)
    assert any("taken for masks" in sentence for sentence in run.results["warnings"])


def test_the_command_says_every_warning_once(folder: Path, tmp_path: Path) -> None:
    file = study(tmp_path)
    file.write_text(file.read_text() + "[training]\nepochs = 1\n[explain]\nfigures = []\ngallery = false\n")
    command = ["run", str(file), "--data", str(folder), "--out", str(tmp_path / "run"), "--device", "cpu"]
    printed = CliRunner().invoke(app, command)
    assert printed.exit_code == 0, printed.output
    assert printed.output.count("taken for masks") == 1 and "Table 1" in printed.output


def test_a_judgement_elsewhere_says_what_the_table_could_not_say(folder: Path, tmp_path: Path) -> None:
    study(tmp_path)
    cohort = cxrlens.Study.load(tmp_path / "s.toml").data.cohort(folder)
    cache = decode_images(cohort, 64, "bicubic", Silent())
    table = cohort.table.iloc[:0].assign(sha256=None)
    assert "taken for masks" in external_images(cohort, cache, table, None, same_people=False).notes[0]


def test_explain_says_that_it_takes_images_and_not_a_folder(finished: cxrlens.Run, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    Image.effect_noise((70, 70), 9).save(new / "a.jpeg")
    message = rf"explain takes images, not folders; got the folder {new}; name its images: {new}/\*\.jpeg"
    with pytest.raises(cxrlens.UserError, match=message):
        finished.explain([new], out=tmp_path / "maps.png", device="cpu")


def test_predict_looks_at_every_kind_and_behind_links_and_counts_the_rest(
    finished: cxrlens.Run, folder: Path, tmp_path: Path
) -> None:
    new, away = tmp_path / "new", tmp_path / "away"
    (new / "sub").mkdir(parents=True)
    away.mkdir()
    for path in (new / "a.jfif", new / "sub" / "b.IMA", away / "c.png"):
        path.write_bytes((folder / "loose.png").read_bytes())
    (new / "linked").symlink_to(away)
    (new / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (new / "round").symlink_to(new)
    for name in ("notes.txt", ".DS_Store", "DICOMDIR"):
        (new / name).write_text("x")
    heard = Heard()
    table = finished.predict([new], device="cpu", progress=heard).set_index("image")
    assert [Path(image).relative_to(new).as_posix() for image in table.index] == [
        "a.jfif", "gone.png", "linked/c.png", "sub/b.IMA",
    ]  # fmt: skip
    problems = table["problem"].dropna()
    assert problems.to_dict() == {str(new / "gone.png"): "a link to a file that is not there"}
    assert table.drop(columns=["problem", "warnings"]).notna().all(axis=1).tolist() == [True, False, True, True]
    assert heard.lines == [f"{new}: ignored 3 files that are not images (1 hidden, 1 DICOMDIR, 1 .txt)"]
    command = ["predict", str(finished.folder.path), str(new), "--device", "cpu", "--strict"]
    assert CliRunner().invoke(app, command).exit_code == 1
    (new / "gone.png").unlink()
    assert CliRunner().invoke(app, command).exit_code == 0
