"""A study may ask for its audit as part of the run; a run shows at every moment what it does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxrlens
from cxrlens.explain.activation_maximization import Objective, reference_activations
from cxrlens.pipeline import run as run_module
from cxrlens.pipeline.explain import figure_networks
from cxrlens.pipeline.explain.figure_networks import first_networks
from cxrlens.pipeline.finished_run import reopen
from cxrlens.progress import SILENT
from cxrlens.study import Study
from cxrlens.train.device import choose_device

STUDY = """
name = "with its audit"
[data]
source = "phantom"
patients = 24
size = 64
images_per_patient = [1, 1]
strength = 3.0
[images]
size = 64
interpolation = "bilinear"
[split]
validation = 0.5
[explain]
figures = [1]
methods = ["grad_cam"]
[audit]
with_run = true
skip = ["planted_marker", "text"]
methods = ["grad_cam"]
images = 4
steps = 2
options = { permuted_labels = { times = 5 }, file_facts = { seeds = 1 }, metadata_only = { seeds = 1 } }
[[models]]
name = "small network"
backbone = "tf_efficientnet_lite0"
head = "linear"
epochs = 1
"""
PARTS = ("evaluate_run", "explain_run", "make_gallery", "audit_prepared", "write_page")


class Watched:
    """A display that knows which tasks it shows."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Any]:
        self.shown.append(title)
        yield self
        self.shown.remove(title)

    def update(self, done: int, total: int | None = None, **values: Any) -> None:
        pass

    def say(self, line: str) -> None:
        pass


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[cxrlens.Run, dict[str, list[str]]]:
    """The run, and what it showed at the beginning of each part."""
    watched, shown = Watched(), {}

    def watching(name: str) -> Any:
        original = getattr(run_module, name)

        def part(*arguments: Any, **options: Any) -> Any:
            shown[name] = list(watched.shown)
            return original(*arguments, **options)

        return part

    study = tmp_path_factory.mktemp("study") / "audited.toml"
    study.write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        for name in PARTS:
            patch.setattr(run_module, name, watching(name))
        run = cxrlens.run(study, out=tmp_path_factory.mktemp("runs") / "audited", device="cpu", progress=watched)
    return run, shown


def test_a_run_with_its_audit_has_all_that_the_command_writes(audited: tuple[cxrlens.Run, Any]) -> None:
    run, _ = audited
    record = run.folder.read_json("audit.json")
    assert [part["name"] for part in record["summary"]["models"]] == ["small network"]
    assert (run.folder.path / "audit.md").exists() and (run.folder.path / "figures" / "audit.png").exists()
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "has not been audited" not in page and record["summary"]["models"][0]["headline"] in page
    assert not {"planted_marker", "text"} & {result["probe"] for result in record["findings"]}
    assert "The study left these tests out: " in page and "a planted marker and letters and signs." in page
    assert "Whether maps can be trusted was tested on 4 of 12 validation images" in page
    assert [stage["name"] for stage in run.folder.read_json("environment.json")["stages"]][-1] == "audit"
    assert run.audit(device="cpu").record["findings"] == record["findings"], "the command finds the same"


def test_figure_2_takes_the_logits_that_the_run_has_predicted(
    audited: tuple[cxrlens.Run, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = audited
    prepared, tasks = reopen(run)
    (network,) = first_networks(run, tasks, prepared, choose_device("cpu"))
    images = prepared.cohort.readable["image"].tolist()
    computed = reference_activations(network.network(), [Objective.logit()], network.pixels(images))[0]
    with monkeypatch.context() as patch:
        patch.setattr(figure_networks, "reference_activations", lambda *_, **__: pytest.fail("computed again"))
        logits = network.cohort_logits(SILENT)
    assert logits.dtype == computed.dtype
    np.testing.assert_allclose(logits, computed, rtol=1e-4, atol=1e-5)
    table = network._predicted().drop(images[3])  # an image without a label is in neither set
    monkeypatch.setattr(figure_networks.FigureNetwork, "_predicted", lambda _: table)
    np.testing.assert_allclose(network.cohort_logits(SILENT), computed, rtol=1e-4, atol=1e-5)


def test_a_run_without_the_key_is_not_audited() -> None:
    assert not Study.of({"name": "s", "data": {"source": "phantom"}, "models": [{"name": "m"}]}).audit.with_run


def test_an_audit_that_cannot_be_made_is_said_and_the_page_is_written(
    audited: tuple[cxrlens.Run, Any], tmp_path: Path
) -> None:
    folder, lines = tmp_path / "audited", []
    shutil.copytree(audited[0].folder.path, folder)
    (folder / "audit.json").unlink()
    study = tmp_path / "audited.toml"
    study.write_text(STUDY.replace("with_run = true", 'with_run = true\nmasks = "masks"'))
    watched = Watched()
    watched.say = lines.append
    cxrlens.run(study, out=folder, device="cpu", progress=watched)
    assert any("not audited: [audit] masks: 'masks' starts from the folder of the images" in line for line in lines)
    assert "has not been audited" in (folder / "report.html").read_text(encoding="utf-8")


def test_every_part_of_a_run_says_what_it_is(audited: tuple[Any, dict[str, list[str]]]) -> None:
    _, shown = audited
    assert set(shown) == set(PARTS) and all(shown.values()), shown
