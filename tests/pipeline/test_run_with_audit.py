"""A study may ask for its audit as part of the run; a run shows at every moment what it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import cxrlens
from cxrlens.pipeline import run as run_module
from cxrlens.study import Study

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
    assert [stage["name"] for stage in run.folder.read_json("environment.json")["stages"]][-1] == "audit"
    assert run.audit(device="cpu").record["findings"] == record["findings"], "the command finds the same"


def test_a_run_without_the_key_is_not_audited() -> None:
    assert not Study.of({"name": "s", "data": {"source": "phantom"}, "models": [{"name": "m"}]}).audit.with_run


def test_every_part_of_a_run_says_what_it_is(audited: tuple[Any, dict[str, list[str]]]) -> None:
    _, shown = audited
    assert set(shown) == set(PARTS) and all(shown.values()), shown
