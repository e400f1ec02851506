"""The search: every combination on every fold, each trained once, resumable, and the same as training by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrlens.data.augment import SIX, Augmentation
from cxrlens.data.cache import ImageCache
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.train import augment_search
from cxrlens.train.augment_search import Search, search
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.training_options import TrainingOptions

IMAGES = [f"{number}.png" for number in range(16)]


def images(rows: range, seed: int = 0) -> LabelledImages:
    pixels: Any = generator(seed).integers(0, 256, (16, 8, 8), dtype=np.uint8)
    cache = ImageCache(pixels, {name: row for row, name in enumerate(IMAGES)}, {}, pd.DataFrame())
    return LabelledImages(cache, tuple(IMAGES[row] for row in rows), np.array([row % 2 for row in rows], np.float32))


def plan(**changed: Any) -> Search:
    result = Search(
        combinations={"none": Augmentation(), "rotation": SIX["rotation"], "brightness": SIX["brightness"]},
        folds=[(images(range(8)), images(range(8, 16))), (images(range(8, 16)), images(range(8)))],
        model=ModelOptions(name="benchmark"),
        training=TrainingOptions(batch=4, epochs=1, steps=2, augment=False),
        size=8,
        seed=3,
        device=Device("cpu", "CPU"),
    )
    return replace(result, **changed)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """Every training that is really done."""
    fits: list[Fit] = []

    def spy(fit: Fit, *rest: Any) -> pd.DataFrame:
        fits.append(fit)
        return train(fit, *rest)

    monkeypatch.setattr(augment_search, "train", spy)
    return fits


def test_every_combination_is_trained_on_every_fold_and_kept(tmp_path: Path, seen: list[Fit]):
    trials = search(plan(), tmp_path / "trials.csv")
    assert trials["combination"].tolist() == ["none", "none", "rotation", "rotation", "brightness", "brightness"]
    assert trials["fold"].tolist() == [0, 1] * 3
    assert trials["auc"].between(0, 1).all()
    assert trials["augmentation"].tolist()[1:3] == ["nothing", "rotation = 10"]
    # The study's own rows may say augment = false; a search without augmentation would compare nothing.
    assert all(fit.options.augment for fit in seen)
    assert [fit.augmentation for fit in seen] == [*plan().combinations.values()] * 2
    selected = pd.read_csv(tmp_path / "trials.csv").sort_values(["combination", "fold"], ignore_index=True)
    assert selected["auc"].tolist() == trials.sort_values(["combination", "fold"])["auc"].tolist()  # every digit


def test_a_trial_is_the_training_loop_and_nothing_else(tmp_path: Path):
    trials = search(plan(), tmp_path / "trials.csv").set_index(["combination", "fold"])
    for name in ("none", "brightness"):
        data, validation = plan().folds[1]
        model = build_classifier(plan().model, 8, 3)
        options = TrainingOptions(batch=4, epochs=1, steps=2)
        history = train(Fit(model, data, validation, options, plan().combinations[name], 3, 1, plan().device))
        assert trials.loc[(name, 1), "auc"] == history["validation_auc"].iloc[-1]


def test_an_interrupted_search_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = search(plan(), tmp_path / "whole.csv")
    done: list[str] = []

    def stop_at_the_third(fit: Fit, *rest: Any) -> pd.DataFrame:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(fit.title)
        return train(fit, *rest)

    monkeypatch.setattr(augment_search, "train", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        search(plan(), tmp_path / "parts.csv")
    assert len(pd.read_csv(tmp_path / "parts.csv")) == 2
    again: list[str] = []
    monkeypatch.setattr(augment_search, "train", lambda fit, *rest: again.append(fit.title) or train(fit, *rest))
    parts = search(plan(), tmp_path / "parts.csv")
    assert len(again) == 4 and not set(again) & set(done)
    pd.testing.assert_frame_equal(parts.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_a_finished_search_trains_nothing_and_takes_in_more_combinations(tmp_path: Path, seen: list[Fit]):
    fewer = plan(combinations={"none": Augmentation()})
    search(fewer, tmp_path / "trials.csv")
    assert len(seen) == 2
    search(fewer, tmp_path / "trials.csv")
    assert len(seen) == 2
    assert len(search(plan(), tmp_path / "trials.csv")) == 6
    assert len(seen) == 6
    assert len(search(fewer, tmp_path / "trials.csv")) == 2  # what is not asked for is kept and not shown


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 4},
        {"training": TrainingOptions(batch=4, epochs=2, steps=2)},
        {"folds": [(images(range(8)), images(range(8, 16)))]},
        {"folds": [(images(range(8), seed=1), images(range(8, 16), seed=1)), *plan().folds[1:]]},
        {"combinations": {"none": Augmentation(), "rotation": Augmentation(rotation=3)}},
    ],
    ids=["seed", "epochs", "folds", "pixels", "strength"],
)
def test_trials_of_other_options_are_refused(tmp_path: Path, changed: dict[str, Any]):
    search(plan(), tmp_path / "trials.csv")
    before = (tmp_path / "trials.csv").read_bytes()
    with pytest.raises(UserError, match=r"other data or options.*delete"):
        search(plan(**changed), tmp_path / "trials.csv")
    assert (tmp_path / "trials.csv").read_bytes() == before


@pytest.mark.parametrize("text", ["", "combination,fold\nnone,0\n", "\x00\x01", "<html>"])
def test_a_damaged_list_of_trials_is_refused(tmp_path: Path, text: str):
    (tmp_path / "trials.csv").write_text(text)
    with pytest.raises(UserError, match="not a table of finished trials"):
        search(plan(), tmp_path / "trials.csv")
