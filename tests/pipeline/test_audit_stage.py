"""The audit of a run on disk: what it writes, what it keeps, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor, nn

import cxrlens
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.errors import UserError
from cxrlens.models.backbones import BACKBONES, Backbone
from cxrlens.pipeline import prepare
from cxrlens.pipeline.audit import maps, reuse
from cxrlens.pipeline.audit import stage as outputs
from cxrlens.pipeline.audit.cases import Cases
from cxrlens.pipeline.audit.stage import audit_run
from support.trainings import nothing_trained

SIZE, PATIENTS = 64, 48
STUDY = """
name = "marked"

[data]
source = "csv_table"
table = "table.csv"
images = "images"

[images]
size = 64
interpolation = "bilinear"

[split]
validation = 0.5

[training]
backbone = "tiny_of_the_audits_tests"
head = "linear"
batch = 8
epochs = 12
learning_rate = 1e-2
augment = false

[evaluation]
draws = 500

[explain]
figures = []

[audit]
boxes = "boxes.csv"
severity = "severity.csv"
methods = ["grad_cam"]
images = 6
steps = 2

[audit.options.file_facts]
classifier = "logistic"
seeds = 1

[[models]]
name = "small network"

[[models]]
name = "short <script>"
epochs = 1
"""
ASKED = sorted(name for name in PROBES if issubclass(PROBES[name], ModelProbe) and not PROBES[name]().by_choice)


def write_images(root: Path) -> None:
    """X-rays of noise; those of the positive bear a bright mark in a corner."""
    rng, rows = np.random.default_rng(0), []
    (root / "images").mkdir()
    for patient in range(PATIENTS):
        grey = 110 + 12 * rng.standard_normal((SIZE, SIZE))
        grey[20:44, 12:52] -= 30
        if patient % 2:
            grey[2:8, 2:18] = 240
        name = f"p{patient:02}.png"
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(root / "images" / name)
        rows.append({"image": name, "label": patient % 2, "patient": f"P{patient}", "site": "AB"[patient // 2 % 2]})
    table = pd.DataFrame(rows)
    table.to_csv(root / "table.csv", index=False)
    boxes = table.assign(filename=table["image"], x=0.2, y=0.3, width=0.6, height=0.4)
    boxes[["filename", "x", "y", "width", "height"]].to_csv(root / "boxes.csv", index=False)
    ill = table[table["label"] == 1]
    pd.DataFrame({"filename": ill["image"], "extent": range(len(ill))}).to_csv(root / "severity.csv", index=False)


class Tiny(Backbone):
    """Two strided convolutions."""

    channels, architecture = 16, "tiny"

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 5, 2, 2), nn.Conv2d(8, 16, 3, 2, 1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu1(self.conv1(images))))


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """A backbone that is quick to train and to forget."""
    with pytest.MonkeyPatch.context() as patch:
        assert "benchmark_cnn" in BACKBONES  # the known ones are looked up once
        patch.setitem(BACKBONES._parts, "tiny_of_the_audits_tests", lambda size: Tiny())
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("marked")
    write_images(root)
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    path = data / "study.toml"
    path.write_text(STUDY)
    return cxrlens.run(cxrlens.Study.load(path), data, out=tmp_path_factory.mktemp("runs") / "run", device="cpu")


@pytest.fixture(scope="module")
def audited(trained: cxrlens.Run) -> tuple[cxrlens.Run, dict[str, Any]]:
    return trained, audit_run(trained, device="cpu")


@pytest.fixture
def copied(audited: tuple[cxrlens.Run, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cxrlens.Run:
    """The audited run, to be spoilt; its figures and its page are not made again."""
    monkeypatch.setattr(outputs, "save", lambda *_: None)
    monkeypatch.setattr(outputs, "write_page", lambda *_: None)
    monkeypatch.setattr(reuse.figures, "save", lambda *_: None)
    return cxrlens.Run.open(shutil.copytree(audited[0].folder.path, tmp_path / "run"))


@pytest.fixture
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network may be looked at again."""
    monkeypatch.setattr(Cases, "of", lambda *_: pytest.fail("asked again"))
    monkeypatch.setattr(maps, "evaluate_maps", lambda *_: pytest.fail("judged again"))


def without_time(output: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in output.items() if name != "seconds"}


def test_every_question_is_in_the_record_with_its_parts(audited: tuple[cxrlens.Run, dict[str, Any]]) -> None:
    run, output = audited
    assert json.loads((run.folder.path / "audit.json").read_text()) == output
    needed = {"probe", "model", "statistic", "value", "low", "high", "verdict", "limits", "direction", "evidence"}
    assert all(needed <= set(each) for each in output["findings"])
    for model in ("small network", "short <script>"):
        requested = {each["probe"] for each in output["findings"] if each["model"] == model}
        assert requested >= set(ASKED) - {"source_probe"} and {"map_trust", "lung_enrichment"} <= requested
        assert output["lungs"][model] == {
            "origin": "boxes", "worth": output["lungs"][model]["worth"], "refused": [], "positive": 12, "negative": 12,
        }  # fmt: skip
    assert {each["probe"] for each in output["findings"] if each["model"] is None} >= {"prevalence", "duplicates"}
    assert all(each["verdict"] in ("flag", "clear", "undecided") for each in output["findings"])


@pytest.mark.usefixtures("nothing_asked")
def test_the_run_has_searched_for_duplicates_and_the_audit_does_not(
    copied: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, searches = prepare.find_duplicates, []
    monkeypatch.setattr(prepare, "find_duplicates", lambda *given: searches.append(1) or search(*given))
    before = json.loads((copied.folder.path / "audit.json").read_text())
    output = audit_run(copied, device="cpu")
    assert not searches and without_time(output) == without_time(before)
    (copied.folder.path / "duplicates.json").unlink()  # as in a run of an older version
    output = audit_run(copied, device="cpu")
    assert searches == [1] and without_time(output) == without_time(before)


def test_the_planted_mark_is_found_and_said(audited: tuple[cxrlens.Run, dict[str, Any]]) -> None:
    run, output = audited
    by = {(each["probe"], each["model"]): each for each in output["findings"]}
    for probe in ("corners", "border_only", "lungs_removed"):
        assert by[probe, "small network"]["verdict"] == "flag", probe
    part = next(each for each in output["summary"]["models"] if each["name"] == "small network")
    assert "marks in the corners" in part["headline"] and part["flags"] >= 3
    text = (run.folder.path / "audit.md").read_text()
    assert "marks in the corners" in text and "never for diagnosis" in text
    assert by["severity", "small network"]["evidence"]["images"] == 12


def test_families_are_corrected_over_all_models(audited: tuple[cxrlens.Run, dict[str, Any]]) -> None:
    result = [each for each in audited[1]["findings"] if (each["bar"] or {}).get("family") == "parts of the image"]
    assert {each["model"] for each in result} == {"small network", "short <script>"}
    least = min(each["p"] for each in result)
    assert min(each["p_holm"] for each in result) == pytest.approx(least * len(result), rel=1e-3)


def test_figures_and_the_page_show_it(audited: tuple[cxrlens.Run, dict[str, Any]]) -> None:
    folder = audited[0].folder.path
    for name in ("audit", "audit_evidence", "reuse"):
        with Image.open(folder / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200, name
        assert (folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    page = (folder / "report.html").read_text()
    assert 'id="audit"' in page and "marks in the corners" in page
    assert "short <script>" not in page and "short &lt;script&gt;" in page


def test_maps_are_judged_on_the_asked_images(audited: tuple[cxrlens.Run, dict[str, Any]]) -> None:
    run, output = audited
    assert len(output["maps"]["images"]) == 6 and list(output["maps"]["methods"]) == ["grad_cam"]
    method = output["maps"]["methods"]["grad_cam"]
    assert list(method["models"]) == ["small network", "short <script>"] and method["reproducibility"]
    for each in method["models"].values():
        assert [order["kind"] for order in each["order"]] == ["deletion", "insertion", "road"]
    splits = run.folder.read_table(run.folder.path / "splits.csv")
    assert set(output["maps"]["images"]) <= set(splits.loc[splits["side"] == "validation", "image"])


def test_what_was_found_is_not_asked_again(
    audited: tuple[cxrlens.Run, dict[str, Any]], copied: cxrlens.Run, nothing_asked: None
) -> None:
    assert without_time(audit_run(copied, device="cpu")) == without_time(audited[1])


def test_one_of_three_orders_decides_so_each_is_held_to_a_third_of_the_error(
    audited: tuple[cxrlens.Run, dict[str, Any]],
) -> None:
    (level,) = {each["level"] for each in _orders(audited[1])}
    assert level == pytest.approx(1 - 0.05 / 3, abs=1e-6)


def _orders(output: dict[str, Any]) -> list[dict[str, Any]]:
    models = output["maps"]["methods"]["grad_cam"]["models"].values()
    return [order["difference"] for each in models for order in each["order"]]


def test_an_interrupt_loses_nothing_that_was_finished(
    audited: tuple[cxrlens.Run, dict[str, Any]], copied: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied.folder.path / "audit")
    before = (copied.folder.path / "audit.json").read_bytes()
    real, requested = PROBES["lungs_only"].results, []

    def results(self: Any, case: Any) -> Any:
        requested.append(case.name)
        if len(requested) == 2:
            raise KeyboardInterrupt
        return real(self, case)

    monkeypatch.setattr(PROBES["lungs_only"], "results", results)
    with pytest.raises(KeyboardInterrupt):
        audit_run(copied, device="cpu")
    assert (copied.folder.path / "audit.json").read_bytes() == before, "an earlier audit's file is whole until the end"
    selected = sorted(
        path.relative_to(copied.folder.path / "audit") for path in copied.folder.path.glob("audit/*/*.json")
    )
    assert Path("small-network/within_source.json") in selected and Path("short-script/corners.json") in selected
    monkeypatch.setattr(PROBES["corners"], "results", lambda *_: pytest.fail("asked twice"))
    assert without_time(audit_run(copied, device="cpu")) == without_time(audited[1])
    assert requested == ["small network", "short <script>", "short <script>"]


def test_a_damaged_or_absent_file_of_it_is_made_anew(
    audited: tuple[cxrlens.Run, dict[str, Any]], copied: cxrlens.Run
) -> None:
    folder = copied.folder.path / "audit" / "small-network"
    (folder / "maps.npz").write_bytes((folder / "maps.npz").read_bytes()[:50])
    (folder / "corners.json").write_text("{")
    (folder / "lungs_removed.npz").unlink()
    assert without_time(audit_run(copied, device="cpu")) == without_time(audited[1])
    assert all((folder / name).stat().st_size > 100 for name in ("maps.npz", "corners.json", "lungs_removed.npz"))


def test_maps_that_no_network_can_have_are_not_tried_again(copied: cxrlens.Run, monkeypatch) -> None:
    def fault(*_: Any) -> None:
        raise UserError("no such maps")

    for path in copied.folder.path.glob("audit/*/maps.json"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(maps, "evaluate_maps", fault)
        first = audit_run(copied, device="cpu")
    monkeypatch.setattr(maps, "evaluate_maps", lambda *_: pytest.fail("tried again"))
    assert without_time(audit_run(copied, device="cpu")) == without_time(first)
    assert [each["reasons"] for each in first["maps"]["methods"]["grad_cam"]["models"].values()] == [
        ["no such maps"]
    ] * 2


def test_draws_of_patients_move_no_map(copied: cxrlens.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    study = copied.folder.study
    study.write_text(study.read_text().replace("draws = 500", "draws = 600"))
    monkeypatch.setattr(maps, "evaluate_maps", lambda *_: pytest.fail("judged again"))
    audit_run(cxrlens.Run.open(copied.folder.path), device="cpu")


def test_a_mended_table_of_boxes_is_read_again(copied: cxrlens.Run, data: Path, tmp_path: Path) -> None:
    here = shutil.copytree(data, tmp_path / "data")
    boxes = pd.read_csv(here / "boxes.csv").assign(x=0.0, y=0.0)  # now over the mark
    boxes.to_csv(here / "boxes.csv", index=False)
    output = audit_run(copied, here, device="cpu")
    result = next(
        each for each in output["findings"] if (each["probe"], each["model"]) == ("lungs_only", "small network")
    )
    assert result["verdict"] == "clear" and result["value"] > 0.9


def test_other_options_ask_that_probe_alone_again(copied: cxrlens.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    study = copied.folder.path / "study.toml"
    study.write_text(study.read_text() + "\n[audit.options.corners]\nwidth = 0.01\nheight = 0.01\n")
    monkeypatch.setattr(maps, "evaluate_maps", lambda *_: pytest.fail("judged again"))
    for probe in set(ASKED) - {"corners"}:
        monkeypatch.setattr(PROBES[probe], "results", lambda *_: pytest.fail("asked again"))
    output = audit_run(copied, device="cpu")
    assert all(each["verdict"] != "flag" for each in output["findings"] if each["probe"] == "corners")


def test_what_is_audited_differently_trains_nothing_again(
    trained: cxrlens.Run, copied: cxrlens.Run, data: Path
) -> None:
    options = trained.study.audit.model_copy(update={"images": 8, "boxes": None})
    other = trained.study.model_copy(update={"audit": options})
    with nothing_trained(copied.folder.path):
        again = cxrlens.run(other, data, out=copied.folder.path, device="cpu")
    assert again.study.audit.images == 8 and again.results["models"] == trained.results["models"]


def test_a_probe_that_trains_is_asked_by_name(
    audited: tuple[cxrlens.Run, dict[str, Any]], copied: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {path: path.read_bytes() for path in copied.folder.path.glob("models/**/*.safetensors")}
    output = audit_run(copied, also=["lungs_removed_retrained"], device="cpu")
    result = {each["model"]: each for each in output["findings"] if each["probe"] == "lungs_removed_retrained"}
    assert set(result) == {"small network", "short <script>"}
    assert result["small network"]["value"] > 0.8 and result["small network"]["evidence"]["trained"] == 24
    assert {path: path.read_bytes() for path in copied.folder.path.glob("models/**/*.safetensors")} == weights


def test_other_images_are_refused_before_any_question(copied: cxrlens.Run, data: Path, tmp_path: Path) -> None:
    here = shutil.copytree(data, tmp_path / "data")
    Image.fromarray(np.full((SIZE, SIZE), 9, np.uint8) + np.eye(SIZE, dtype=np.uint8)).save(here / "images" / "p03.png")
    with pytest.raises(cxrlens.UserError, match="the images are not those of the run"):
        audit_run(copied, here, device="cpu")
    with pytest.raises(cxrlens.UserError, match=r"images are not at .*; give their folder with --data"):
        audit_run(copied, tmp_path / "gone", device="cpu")


def test_a_probes_wrong_name_is_answered_with_the_nearest(trained: cxrlens.Run) -> None:
    with pytest.raises(cxrlens.UserError, match="unknown probe 'lungs_removed_retraind'; did you mean"):
        audit_run(trained, also=["lungs_removed_retraind"], device="cpu")
    with pytest.raises(cxrlens.UserError, match="'prevalence' examines the cohort"):
        audit_run(trained, also=["prevalence"], device="cpu")


def test_an_audit_option_that_nobody_knows_is_refused_with_the_study() -> None:
    raw = {"name": "s", "data": {"source": "phantom"}, "models": [{"name": "m"}]}
    for table, output in (
        ({"mask": "x"}, "did you mean 'masks'"),
        ({"methods": ["grad_cm"]}, "grad_cam"),
        ({"options": {"cornrs": {}}}, "did you mean 'corners'"),
        ({"options": {"corners": {"widht": 1}}}, "did you mean 'width'"),
        ({"images": 2}, "images"),
    ):
        with pytest.raises(cxrlens.UserError, match=output):
            cxrlens.Study.of({**raw, "audit": table})


def test_a_method_that_a_network_cannot_have_is_a_finding_and_not_the_end_of_the_audit(
    copied: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(case: Any, method: str, *_: Any) -> Any:
        raise UserError(f"{method} needs a network with ReLUs")

    monkeypatch.setattr(maps, "evaluate_maps", none)
    for record in copied.folder.path.glob("audit/*/maps.json"):
        record.unlink()
    output = audit_run(copied, device="cpu")
    result = [each for each in output["findings"] if each["probe"] == "map_trust"]
    methods, names = copied.study.audit.methods, [model["name"] for model in copied.results["models"]]
    assert len(result) == len(methods) * len(names)
    assert all(each["verdict"] == "undecided" and "needs a network with ReLUs" in each["sentence"] for each in result)
    assert all(output["maps"]["methods"][method]["models"][names[0]]["trusted"] is None for method in methods)
