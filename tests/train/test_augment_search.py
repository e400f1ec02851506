"""The search: every combination on every fold, each trained once, resumable, and the same as training by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxrlens.data.augment import SIX, Augmentation
from cxrlens.data.cache import ImageCache
from cxrlens.data.seeds import generator
from cxrlens.errors import UserError
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.run_folder import RunFolder, read_csv
from cxrlens.train import augment_search
from cxrlens.train.augment_search import PREDICTIONS, TRIALS, Search, search
from cxrlens.train.device import Device
from cxrlens.train.inputs import LabelledImages, prediction_table
from cxrlens.train.loop import Fit, train
from cxrlens.train.predict import predict_logits, probabilities
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
        patients={name: f"P{number // 2}" for number, name in enumerate(IMAGES)},
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
    trials, predictions = search(plan(), tmp_path)
    assert trials["combination"].tolist() == ["none", "none", "rotation", "rotation", "brightness", "brightness"]
    assert trials["fold"].tolist() == [0, 1] * 3
    assert trials["auc"].between(0, 1).all()
    assert trials["augmentation"].tolist()[1:3] == ["nothing", "rotation = 10"]
    # The study's own rows may say augment = false; a search without augmentation would compare nothing.
    assert all(fit.options.augment for fit in seen)
    assert [fit.augmentation for fit in seen] == [*plan().combinations.values()] * 2
    kept = pd.read_csv(tmp_path / TRIALS).sort_values(["combination", "fold"], ignore_index=True)
    assert kept["auc"].tolist() == trials.sort_values(["combination", "fold"])["auc"].tolist()  # every digit
    held_out = [*IMAGES[8:], *IMAGES[:8]]
    assert predictions["image"].tolist() == held_out * 3
    assert predictions["model"].tolist() == [name for name in plan().combinations for _ in IMAGES]
    assert predictions["fold"].tolist() == ([0] * 8 + [1] * 8) * 3 and set(predictions["seed"]) == {3}
    assert predictions["patient"].tolist() == [plan().patients[image] for image in held_out] * 3
    assert predictions["label"].tolist() == [IMAGES.index(image) % 2 for image in held_out] * 3
    by_fold = predictions.sort_values("fold", kind="stable", ignore_index=True)  # the order of training
    pd.testing.assert_frame_equal(read_csv(tmp_path / PREDICTIONS), by_fold, check_dtype=False)  # every digit


def test_a_trial_is_the_training_loop_and_nothing_else(tmp_path: Path):
    trials, predictions = search(plan(), tmp_path)
    trials = trials.set_index(["combination", "fold"])
    for name in ("none", "brightness"):
        data, validation = plan().folds[1]
        model = build_classifier(plan().model, 8, 3)
        options = TrainingOptions(batch=4, epochs=1, steps=2)
        history = train(Fit(model, data, validation, options, plan().combinations[name], 3, 1, plan().device))
        assert trials.loc[(name, 1), "auc"] == history["validation_auc"].iloc[-1]
        part = predictions[(predictions["model"] == name) & (predictions["fold"] == 1)]
        logits = predict_logits(model, validation.pixels(range(8)), plan().device)
        assert part["logit"].tolist() == logits.tolist()
        assert part["probability"].tolist() == probabilities(logits).tolist()
        assert roc_auc_score(part["label"], part["logit"]) == trials.loc[(name, 1), "auc"]


def test_an_interrupted_search_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, whole_predictions = search(plan(), tmp_path / "whole")
    done: list[str] = []

    def stop_at_the_third(fit: Fit, *rest: Any) -> pd.DataFrame:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(fit.title)
        return train(fit, *rest)

    monkeypatch.setattr(augment_search, "train", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        search(plan(), tmp_path / "parts")
    assert len(pd.read_csv(tmp_path / "parts" / TRIALS)) == 2
    assert len(pd.read_csv(tmp_path / "parts" / PREDICTIONS)) == 2 * 8
    again: list[str] = []
    monkeypatch.setattr(augment_search, "train", lambda fit, *rest: again.append(fit.title) or train(fit, *rest))
    parts, parts_predictions = search(plan(), tmp_path / "parts")
    assert len(again) == 4 and not set(again) & set(done)
    pd.testing.assert_frame_equal(parts.drop(columns="seconds"), whole.drop(columns="seconds"))
    pd.testing.assert_frame_equal(parts_predictions, whole_predictions, check_dtype=False)


@pytest.mark.parametrize("table", [PREDICTIONS, TRIALS])
@pytest.mark.parametrize("trial", [0, 2])
def test_a_search_killed_between_its_two_files_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, trial: int
):
    whole, whole_predictions = search(plan(), tmp_path / "whole")
    write = RunFolder.write_table
    written: list[Path] = []

    def killed(folder: RunFolder, path: Path, rows: pd.DataFrame) -> None:
        written.append(path)
        if path.name == table and written.count(path) == trial + 1:
            raise KeyboardInterrupt
        write(folder, path, rows)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunFolder, "write_table", killed)
        search(plan(), tmp_path / "parts")
    titles: list[str] = []
    monkeypatch.setattr(augment_search, "train", lambda fit, *rest: titles.append(fit.title) or train(fit, *rest))
    parts, parts_predictions = search(plan(), tmp_path / "parts")
    assert len(titles) == 6 - trial
    pd.testing.assert_frame_equal(parts.drop(columns="seconds"), whole.drop(columns="seconds"))
    pd.testing.assert_frame_equal(parts_predictions, whole_predictions, check_dtype=False)
    assert len(pd.read_csv(tmp_path / "parts" / PREDICTIONS)) == 6 * 8


def test_a_finished_search_trains_nothing_and_takes_in_more_combinations(tmp_path: Path, seen: list[Fit]):
    fewer = plan(combinations={"none": Augmentation()})
    search(fewer, tmp_path)
    assert len(seen) == 2
    search(fewer, tmp_path)
    assert len(seen) == 2
    assert [len(table) for table in search(plan(), tmp_path)] == [6, 6 * 8]
    assert len(seen) == 6
    assert [len(table) for table in search(fewer, tmp_path)] == [2, 2 * 8]
    assert len(pd.read_csv(tmp_path / PREDICTIONS)) == 6 * 8  # what is not asked for is kept and not shown


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 4},
        {"training": TrainingOptions(batch=4, epochs=2, steps=2)},
        {"folds": [(images(range(8)), images(range(8, 16)))]},
        {"folds": [(images(range(8), seed=1), images(range(8, 16), seed=1)), *plan().folds[1:]]},
        {"combinations": {"none": Augmentation(), "rotation": Augmentation(rotation=3)}},
        {"patients": {name: name for name in IMAGES}},
    ],
    ids=["seed", "epochs", "folds", "pixels", "strength", "patients"],
)
def test_trials_of_other_options_are_refused(tmp_path: Path, changed: dict[str, Any]):
    search(plan(), tmp_path)
    before = (tmp_path / TRIALS).read_bytes()
    with pytest.raises(UserError, match=r"other data or options.*delete"):
        search(plan(**changed), tmp_path)
    assert (tmp_path / TRIALS).read_bytes() == before


@pytest.mark.parametrize("text", ["", "combination,fold\nnone,0\n", "\x00\x01", "<html>"])
def test_a_damaged_list_of_trials_is_refused(tmp_path: Path, text: str):
    (tmp_path / TRIALS).write_text(text)
    with pytest.raises(UserError, match="not a table of finished trials"):
        search(plan(), tmp_path)


def test_a_folder_of_a_version_that_kept_no_predictions_is_refused_and_left_as_it_is(tmp_path: Path, seen: list[Fit]):
    search(plan(), tmp_path)
    (tmp_path / PREDICTIONS).unlink()
    table = pd.read_csv(tmp_path / TRIALS).assign(identity="of an earlier version")
    table.to_csv(tmp_path / TRIALS, index=False)
    before = (tmp_path / TRIALS).read_bytes()
    with pytest.raises(UserError, match=r"no augment_predictions\.csv.*earlier versions.*Delete .*augment_trials\.csv"):
        search(plan(), tmp_path)
    assert (tmp_path / TRIALS).read_bytes() == before and len(seen) == 6
    (tmp_path / TRIALS).unlink()  # as the message advises
    assert len(search(plan(), tmp_path)[1]) == 6 * 8


@pytest.mark.parametrize("change", ["a trial", "an image", "twice", "label", "empty", "html", "column", "number"])
def test_predictions_that_are_not_those_of_the_listed_trials_are_refused(tmp_path: Path, change: str):
    search(plan(), tmp_path)
    file = tmp_path / PREDICTIONS
    table = read_csv(file)
    of_trial = (table["model"] == "rotation") & (table["fold"] == 1)
    changed = {
        "a trial": table[~of_trial],
        "an image": table.drop(index=table.index[of_trial][0]),
        "twice": pd.concat([table, table[of_trial].head(1)]),
        "label": table.assign(label=table["label"].where(~of_trial, 1 - table["label"])),
        "column": table.drop(columns="logit"),
        "number": table.assign(fold="first"),
    }
    if change in changed:
        changed[change].to_csv(file, index=False)
    else:
        file.write_text({"empty": "", "html": "<html>"}[change])
    before = file.read_bytes()
    with pytest.raises(
        UserError, match=r"(not a table of|does not hold the) predictions.*delete .*augment_trials\.csv"
    ):
        search(plan(), tmp_path)
    assert file.read_bytes() == before


def test_predictions_of_images_without_a_label_keep_it_unknown():
    data = replace(images(range(4)), labels=np.array([0, np.nan, 1, np.nan], np.float32))
    model = build_classifier(plan().model, 8, 3)
    table = prediction_table(model.eval(), data, plan().device, "zoom", 3, 1, ["P0", "P0", "P1", "P1"])
    np.testing.assert_array_equal(table["label"], [0, np.nan, 1, np.nan])
    assert table["logit"].notna().all() and table["patient"].tolist() == ["P0", "P0", "P1", "P1"]
    assert table["model"].eq("zoom").all() and table["seed"].eq(3).all() and table["fold"].eq(1).all()
