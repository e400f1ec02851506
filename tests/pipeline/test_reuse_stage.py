"""What was reused, of a run on disk: networks with what they started from, and what is said where that is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cxrlens
from cxrlens.data.split import Split
from cxrlens.models.weights.find import OutOfReach
from cxrlens.pipeline.audit import reuse as stage
from cxrlens.pipeline.fit import training_tasks
from cxrlens.pipeline.prepare import prepare, trainable_rows
from cxrlens.train.device import choose_device

Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def copied(finished: cxrlens.Run, tmp_path: Path) -> cxrlens.Run:
    return cxrlens.Run.open(shutil.copytree(finished.folder.path, tmp_path / "run"))


@pytest.fixture
def measured(copied: cxrlens.Run) -> Measure:
    """Measures the run; `keep` is of its networks, `split` takes the place of theirs."""

    def measure(keep: Callable[..., bool] = lambda task: True, split: Split | None = None) -> dict[str, Any]:
        prepared = prepare(copied.study, None)
        done = [task for task in training_tasks(prepared, trainable_rows(copied.study, None)[0]) if keep(task)]
        done = [replace(task, split=split) for task in done] if split else done
        result = stage.reuse(copied, done, prepared, choose_device("cpu"), None)
        json.dumps(result, allow_nan=False)
        return result

    return measure


def test_a_frozen_network_is_as_it_was_and_a_trained_one_is_not(measured: Measure, copied: cxrlens.Run) -> None:
    result = measured()
    small, frozen = result["models"]
    assert (small["name"], frozen["name"]) == ("small network", "frozen network")
    assert [block["block"] for block in small["blocks"]] == [block["block"] for block in frozen["blocks"]]
    for block in frozen["blocks"]:
        values = [block[key] for key in ("cka", "low", "high", "weights", "batchnorm", "statistics")]
        assert values == [1, 1, 1, 0, 0, 0]
    assert all(block["cka"] < 1 and block["weights"] > 0 and block["statistics"] > 0 for block in small["blocks"])
    assert "did not change" in frozen["note"] and "random weights" in small["note"]
    assert small["seeds"] == 2 and small["blocks"][0]["over_seeds"]["cka"]["seeds"] == 2
    (pair,) = result["between"]
    assert (pair["a"], pair["b"]) == ("small network", "frozen network") and pair["low"] <= pair["cka"] <= pair["high"]
    assert all((copied.folder.path / "figures" / f"reuse.{kind}").stat().st_size for kind in ("png", "pdf"))


def test_one_seed_has_no_interval_over_seeds_and_says_so(measured: Measure) -> None:
    result = measured(keep=lambda task: task.seed == 0)
    assert all("One seed" in model["note"] and model["seeds"] == 1 for model in result["models"])
    assert not any(block["over_seeds"] for model in result["models"] for block in model["blocks"])


def test_weights_out_of_reach_are_told_and_the_trained_network_still_counts(
    measured: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = stage.build_classifier

    def gone(row: Any, *rest: Any) -> Any:
        if row.weights != "random":
            raise OutOfReach("the weights are not here", " in /some/folder")
        return build(row, *rest)

    monkeypatch.setattr(stage, "build_classifier", gone)
    result = measured(keep=lambda task: task.seed == 0)
    small, frozen = result["models"]
    assert small["blocks"] and not frozen["blocks"] and len(result["between"]) == 1
    assert frozen["note"].endswith("are no longer available: the weights are not here.")


def test_other_weights_under_the_same_name_are_no_start(measured: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    build = stage.build_classifier

    def other(*given: Any) -> Any:
        model = build(*given)
        model.weights = replace(model.weights, sha256="0" * 64)
        return model

    monkeypatch.setattr(stage, "build_classifier", other)
    for model in measured(keep=lambda task: task.seed == 0)["models"]:
        assert not model["blocks"] and "now stands for other weights" in model["note"]


def test_a_trunk_that_moved_though_frozen_is_told(measured: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    build = stage.build_classifier

    def drifted(*given: Any) -> Any:
        model = build(*given)
        model.backbone.network.bn1.running_mean += 1e-3
        return model

    monkeypatch.setattr(stage, "build_classifier", drifted)
    (frozen,) = measured(keep=lambda task: task.row.name == "frozen network" and task.seed == 0)["models"]
    assert "should be frozen, but it changed" in frozen["note"] and frozen["blocks"][0]["statistics"] > 0


def test_too_few_patients_are_told_and_nothing_is_drawn(measured: Measure, copied: cxrlens.Run) -> None:
    split = prepare(copied.study, None).splits[0]
    few = replace(split, validation=split.validation[:2])
    result = measured(split=few)
    assert result["models"] == [] and "validation images of 4 patients" in result["note"]
    assert not (copied.folder.path / "figures" / "reuse.png").exists()


def test_an_interval_that_is_unknown_is_null(measured: Measure, copied: cxrlens.Run) -> None:
    prepared = prepare(copied.study, None)
    split, of = prepared.splits[0], prepared.cohort.table.set_index("image")["patient"]
    four = list(dict.fromkeys(of.loc[list(split.validation)]))[:4]
    few = replace(split, validation=tuple(image for image in split.validation if of[image] in four))
    result = measured(keep=lambda task: task.row.name == "small network" and task.seed == 0, split=few)
    assert result["patients"] == 4
    assert all(block["low"] is None and block["cka"] <= 1 for block in result["models"][0]["blocks"])
