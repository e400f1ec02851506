"""A study that asks for drawn views: what it states, what its networks are told apart by, and what it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import cxrlens
from cxrlens.pipeline.fit import network_identity, training_tasks
from cxrlens.pipeline.prepare import TrainableRow, prepare
from cxrlens.report.page.methods import _training
from cxrlens.study import Study
from cxrlens.train.inputs import PixelInputs
from support.tiny_study import STUDY

FROZEN, TRAINED = "frozen network", "small network"


@pytest.fixture(scope="module")
def study() -> Study:
    text = STUDY.replace("horizontal_flip = true", "horizontal_flip = true\nbrightness = [0.5, 1.2]")
    return Study.of(tomllib.loads(text.replace("[training]", "[training]\nviews = 3")))


def test_only_frozen_rows_under_a_continuous_augmentation_have_views(study: Study) -> None:
    views = {row.name: row.drawn_views(study.augment) for row in study.models}
    assert views == {TRAINED: None, FROZEN: 3, "out of reach": None}
    frozen = study.models[1]
    assert frozen.drawn_views(study.augment.model_copy(update={"brightness": None})) is None
    assert frozen.model_copy(update={"augment": False}).drawn_views(study.augment) is None
    with pytest.raises(cxrlens.UserError, match="views"):
        Study.of({"name": "x", "data": {"source": "phantom"}, "models": [{"name": "a", "views": 0}]})
    assert Study.of(tomllib.loads(study.to_toml())) == study


def test_a_run_states_its_views_and_never_passes_pixels_at_a_step(study, tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a step passed pixels through the backbone")

    monkeypatch.setattr(PixelInputs, "logits", refuse)
    study = study.model_copy(update={"models": study.models[1:2]})
    run = cxrlens.run(study, out=tmp_path / "run", device="cpu")
    (model,) = run.results["models"]
    assert model["views"] == 3
    note = "frozen network: was trained on 3 drawn views of each image, the same for all seeds and folds"
    assert note in (run.folder.path / "results.md").read_text()
    assert "on 3 augmented views of each image" in _training(study, list(study.models))
    assert json.loads(run.folder.unit("frozen-network", 1, 0).record.read_text())["views"] == 3
    row = study.models[0].model_copy(update={"views": 4})
    with pytest.raises(cxrlens.UserError, match="holds another study"):
        cxrlens.run(study.model_copy(update={"models": (row,)}), out=tmp_path / "run", device="cpu")


def test_the_plan_states_the_views_and_the_bytes_of_their_features(study: Study) -> None:
    plan = cxrlens.plan(study, device="cpu")
    trained, frozen = plan.models
    assert (trained.views, trained.features) == (None, 0) and frozen.views == 3
    prepared = prepare(study, None)
    split = prepared.splits[0]
    once = len(split.train) + len(split.validation)  # whole maps, without augmentation
    assert frozen.features == 4 * 1280 * (2 * 2 * once + 3 * len(split.train))


def test_views_tell_networks_apart_where_they_have_an_effect_and_nowhere_else(study: Study) -> None:
    prepared = prepare(study, None)

    def identity(number: int, views: int | None) -> str:
        row = TrainableRow(study.models[number].model_copy(update={"views": views}), 64)
        return network_identity(training_tasks(prepared, [row])[0], prepared, None)

    assert len({identity(1, None), identity(1, 3), identity(1, 4)}) == 3
    assert identity(0, None) == identity(0, 3)  # networks of earlier runs go on being the same
