"""Two sizes in one run: each row's images at its own, recorded, used again, and said where the weights were not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cxrlens
from cxrlens.data.cache import build_cache
from cxrlens.models.weights import cards as catalogue
from cxrlens.models.weights import find as hub
from cxrlens.models.weights.cards import CARDS, NATURAL, XRAY
from cxrlens.pipeline import augment_search as augment_search_module
from cxrlens.pipeline import plan as plan_module
from cxrlens.pipeline import prepare as pixels
from cxrlens.pipeline import run as run_module
from cxrlens.pipeline.augment_search import SearchOptions, augment_search
from cxrlens.pipeline.prepare import row_size, trainable_rows
from cxrlens.report.tables import to_markdown

LITE, OWN = "tf_efficientnet_lite0", "efficientnet-lite0-imagenet"
STUDY = {
    "name": "sizes",
    "data": {"source": "phantom", "patients": 16, "images_per_patient": [1, 2], "size": 96, "seed": 3},
    "images": {"size": "weights", "interpolation": "bilinear"},
    "split": {"validation": 0.4, "merge_duplicates": False},
    "training": {"batch": 8, "epochs": 1, "steps": 1, "backbone": LITE, "head": "linear", "trained": "head"},
    "explain": {"figures": []},
    "models": [
        {"name": "random", "size": 64},
        {"name": "as trained", "weights": OWN},
        {"name": "smaller", "weights": OWN, "size": 64, "preprocessing": "unit"},
        {"name": "wanted another", "weights": "wanted"},
        {"name": "auto", "weights": "auto"},
        {"name": "nowhere", "backbone": "densenet121", "weights": "auto"},
    ],
}
ROWS = ("random", "as trained", "smaller", "wanted another", "auto")


@pytest.fixture(scope="module", autouse=True)
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The installed weights say that they were trained at 96, and stand in for others; no hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRLENS_WEIGHTS", str(tmp_path_factory.mktemp("nothing")))
        patch.setattr(catalogue, "SHIPPED", tmp_path_factory.mktemp("none"))
        patch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
        patch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
        patch.setitem(NATURAL, OWN, replace(CARDS[OWN], size=96, known_output=None))
        absent = replace(CARDS["chexnet"], name="wanted", architecture=LITE, size=320, stand_ins=(OWN,))
        patch.setitem(XRAY, "wanted", absent)
        yield


@pytest.fixture(scope="module")
def decoded() -> list[tuple[int, str]]:
    return []


@pytest.fixture(scope="module")
def sized(cards: None, decoded: list, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    def spy(cohort: Any, size: int, interpolation: str, **rest: Any) -> Any:
        decoded.append((size, interpolation))
        return build_cache(cohort, size, interpolation, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "build_cache", spy)
        patch.setattr(run_module, "draw", lambda *_: None)
        return cxrlens.run(cxrlens.Study.of(STUDY), out=tmp_path_factory.mktemp("runs") / "sizes", device="cpu")


def test_every_row_has_its_own_size_else_that_of_its_weights(sized: cxrlens.Run) -> None:
    assert {model["name"]: model["size"] for model in sized.results["models"]} == {
        "random": 64, "as trained": 96, "smaller": 64, "wanted another": 96, "auto": 96,
    }  # fmt: skip
    assert [each["name"] for each in sized.results["skipped"]] == ["nowhere"]
    record = json.loads(sized.folder.unit("as-trained", 0, 0).record.read_text())
    assert (record["size"], record["overridden"], record["weights"]["size"]) == (96, [], 96)


def test_images_are_decoded_once_a_size(sized: cxrlens.Run, decoded: list) -> None:
    assert sorted(decoded) == [(64, "bilinear"), (96, "bilinear"), (224, "bilinear")]


def test_weights_that_say_nothing_are_used_at_224() -> None:
    study = cxrlens.Study.of({**STUDY, "models": [{"name": "a", "weights": "random"}, {"name": "b", "size": 48}]})
    assert [row_size(row, study.images) for row in study.models] == [224, 48]
    fixed = study.images.model_copy(update={"size": 80})
    own = cxrlens.Study.of({**STUDY, "models": [{"name": "a", "size": "weights", "weights": OWN}, {"name": "b"}]})
    assert [row_size(row, fixed) for row in own.models] == [96, 80]


@pytest.mark.parametrize("name", ["random", "as trained"])
def test_a_model_from_the_run_is_of_its_size_and_gives_the_runs_predictions(sized: cxrlens.Run, name: str) -> None:
    model, size = sized.model(name), sized.size(name)
    predictions = sized.predictions.query("model == @name")
    cache = build_cache(sized.study.data.cohort(None), size, "bilinear")
    images = cache.batch(predictions["image"].tolist()).astype(np.float32) / 255
    with torch.no_grad():
        logits = model(torch.from_numpy(images)[:, None]).numpy()
    assert model.size == size == {"random": 64, "as trained": 96}[name]
    np.testing.assert_allclose(logits, predictions["logit"], rtol=1e-4, atol=1e-5)


def test_predict_gives_every_network_images_of_its_own_size(sized: cxrlens.Run, tmp_path: Path) -> None:
    for _ in sized.study.data.export(tmp_path / "new"):
        pass
    table = sized.predict([tmp_path / "new" / "images"], device="cpu")
    table.index = [Path(file).name for file in table["image"]]
    for name in ROWS:
        known = sized.predictions.query("model == @name")
        result = table.loc[[Path(image).name for image in known["image"]], name]
        np.testing.assert_allclose(result, known["probability"], atol=2e-3)


def test_the_plan_times_every_row_at_its_size(sized: cxrlens.Run, monkeypatch) -> None:
    timed = []

    def spy(model: cxrlens.Classifier, images: torch.Tensor, _: object) -> tuple[float, float, float, int]:
        timed.append((model.size, *images.shape[2:]))
        return 1.0, 1.0, 1.0, 1

    monkeypatch.setattr(plan_module, "_time_step", spy)
    plan = cxrlens.plan(sized.study, None, device="cpu")
    assert timed == [(size, size, size) for size in (64, 96, 64, 96, 96)]
    assert {row.name: row.size for row in plan.models} == {name: sized.size(name) for name in ROWS}
    assert [each["name"] for each in plan.skipped] == ["nowhere"]


def test_what_the_weights_were_not_made_for_is_recorded_and_said(sized: cxrlens.Run) -> None:
    models = {model["name"]: model for model in sized.results["models"]}
    assert {name: model["overridden"] for name, model in models.items() if model["overridden"]} == {
        "smaller": ["preprocessing", "size"]
    }
    weights = models["smaller"]["weights"]
    assert weights["preprocessing"]["mean"] == [127 / 255] * 3 and models["smaller"]["preprocessing"]["mean"] == [0] * 3
    output = [line for line in to_markdown(sized.results).splitlines() if line.startswith("- ")]
    assert output[:3] == [
        "- smaller: received images of 64 pixels in [0, 1], but its weights were trained at 96 pixels (input: RGB, "
        "(x \\* 255 - 127) / 128)",
        f"- wanted another: 'wanted' is not on this machine; '{OWN}' is used instead",
        f"- auto: 'auto' selected '{OWN}', the best weights on this machine",
    ]
    assert output[3].startswith("- Not run: nowhere") and len(output) == 4
    assert output[1] in (sized.folder.path / "results.md").read_text(encoding="utf-8").splitlines()


def test_a_search_of_augmentations_is_on_the_size_of_its_row(tmp_path: Path, monkeypatch) -> None:
    rows = [{"name": "benchmark", "backbone": "benchmark_cnn", "head": "conv", "trained": "all", "size": 64}]
    study, seen = cxrlens.Study.of({**STUDY, "models": rows}), []

    def stop(plan: Any, *_: object) -> None:
        seen.append((plan.size, plan.folds[0][0].pixels([0]).shape[-1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(augment_search_module, "search", stop)
    for options in (SearchOptions(folds=2), SearchOptions(folds=2, size=96)):
        with pytest.raises(KeyboardInterrupt):
            augment_search(study, None, out=tmp_path, options=options, device="cpu")
    assert seen == [(64, 64), (96, 96)]


def test_a_run_of_before_rows_had_sizes_is_read_at_its_studys(finished: cxrlens.Run, tmp_path: Path) -> None:
    copy = cxrlens.Run.open(shutil.copytree(finished.folder.path, tmp_path / "copy"))
    unit = copy.folder.unit("small-network", 0, 0)
    record = json.loads(unit.record.read_text())
    unit.record.write_text(json.dumps({name: value for name, value in record.items() if name != "size"}))
    assert copy.model("small network").size == copy.size("small network") == 64


@pytest.mark.parametrize(("first", "run"), [("chexnet", ["ours"]), ("random", ["first"])])
def test_a_row_in_another_ones_place_is_run_where_that_one_cannot_be(cards: None, first: str, run: list[str]) -> None:
    rows = [
        {"name": "first", "backbone": "densenet121", "weights": first, "size": 64, "head": "linear"},
        {"name": "ours", "backbone": LITE, "size": 64, "head": "linear", "instead_of": "first"},
    ]
    study = cxrlens.Study.of({**STUDY, "models": rows})
    assert [each.row.name for each in trainable_rows(study, None)[0]] == run
