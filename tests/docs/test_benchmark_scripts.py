"""The benchmarks' scripts run on small networks, with a peer that only answers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cxrlens.data.augment import Augmentation
from cxrlens.study import ModelRow, read_study

ROOT = Path(__file__).parents[2]
WORKER = """
import json, sys
print(json.dumps({"versions": {"peer": "1"}}), flush=True)
for number, line in enumerate(sys.stdin):
    print(json.dumps({"seconds": 100.0 if number == 0 else float(number)}), flush=True)
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A script of `benchmarks/` by its name, whose peer's measurements take 100 s, 1 s, 2 s and so on."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    peers = importlib.import_module("peers")
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setattr(peers, "WORKER", tmp_path / "worker.py")
    monkeypatch.setattr(peers, "peer_python", lambda: sys.executable)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_both_sides_take_turns_and_their_warm_up_is_left_out(script: Any) -> None:
    peers = script("peers")
    with peers.Peer({}) as peer:
        seconds = peers.in_turn(lambda: None, peer, 3)
    assert peer.seconds == [1.0, 2.0, 3.0] and peer.versions == {"peer": "1"}
    assert len(seconds) == 3 and all(value < 1 for value in seconds)


def test_a_peer_that_fails_is_an_error_with_its_own_words(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peers = script("peers")
    (tmp_path / "broken.py").write_text("raise SystemExit('no tensorflow here')", encoding="utf-8")
    monkeypatch.setattr(peers, "WORKER", tmp_path / "broken.py")
    with pytest.raises(RuntimeError, match="no tensorflow here"):
        peers.Peer({})


def test_a_training_step_is_measured_in_the_loop_of_a_run(script: Any) -> None:
    model = ModelRow(name="a row", batch=4)
    row = script("training_step").step(model, Augmentation(horizontal_flip=True), 32, 3)
    assert row["name"] == "training_step/benchmark_cnn" and row["peer"] == 2.0 and 0 < row["ours"] < 2
    assert row["unit"] == "CPU s a step of 4"


def test_the_rows_of_table_1_are_those_of_the_paper(script: Any) -> None:
    training_step = script("training_step")
    rows = training_step.paper_rows(read_study(ROOT / "studies" / "paper.toml")[0])
    names = [training_step.title(row) for row in rows]
    assert names == ["benchmark_cnn", "benchmark_cnn", "vgg16_frozen", "densenet121_frozen", "densenet121_all"]
    assert {row.weights for row in rows} == {"random"}


@pytest.mark.parametrize(("augmentation", "banked"), [({"horizontal_flip": True}, True), ({"rotation": 5}, False)])
def test_table_1_counts_a_bank_once_and_a_step_as_often_as_it_occurs(
    script: Any, augmentation: dict[str, Any], banked: bool
) -> None:
    table1, peers = script("table1"), script("peers")
    model = ModelRow(name="a row", backbone="resnet10t", trained="head", batch=4, epochs=10, steps=100, head="linear")
    with peers.Peer({}) as peer:
        turns = peers.Turns(3, model.name, peer)
        cost = table1.ours(model, Augmentation(**augmentation), table1.Sizes(64, 32, 16, 64), turns)
    assert cost.steps == peers.median(turns.seconds) * 1000
    assert (sum(turns.tasks.values()) > 0.02) == banked
    assert cost.bank > 0 and cost.validation > 0
    other = table1.peers_cost(model, Augmentation(), table1.Sizes(64, 32, 16, 64), [2.0, 3.0, 9.0], 3)
    assert (other.bank, other.steps, other.validation) == (0, 3000.0, 2.0 * 2 * 10)


def test_a_level_is_reached_by_the_first_picture_that_is_at_it(script: Any) -> None:
    level = script("activation_to_level")
    model = level.network("resnet10t", 96)
    options = level.PRESETS["modern"].model_copy(update={"iterations": 3, "snapshots": (0, 3)})
    activations = level.shown(model, level.maximize(model, level.LOGIT, options))
    assert level.iterations_to(model, activations[0] - 1, 0, 3) == 1
    assert 1 <= level.iterations_to(model, activations[3], 0, 3) <= 3
