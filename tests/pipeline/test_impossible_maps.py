"""A figure that one row's network cannot have is named before training, and takes nothing from the other rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app
from cxrlens.errors import UserError
from cxrlens.explain import model_explanation
from cxrlens.explain.attribute import method_fault
from cxrlens.explain.methods import METHODS
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.pipeline.explain import stage
from cxrlens.pipeline.explain.images import explain_images
from cxrlens.pipeline.gallery import read_gallery
from support.trainings import nothing_trained
from support.users_folders import folder, study, study_file

EXPLAIN: dict[str, Any] = {"figures": [1], "methods": ["grad_cam", "guided_backprop"], "gallery": True}
MODELS = [{"name": "cnn"}, {"name": "silu", "backbone": "tf_efficientnet_b0"}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"image": f"{number}.png", "patient": f"P{number}", "label": number % 2} for number in range(24)]
    return folder(tmp_path_factory.mktemp("data"), rows)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    return cxrlens.run(study(models=MODELS, explain=EXPLAIN), data, out=tmp_path_factory.mktemp("run"), device="cpu")


def told(run: cxrlens.Run) -> list[dict[str, str]]:
    return json.loads((run.folder.path / "explain.json").read_text())["left_out"]


def test_the_plan_names_the_row_and_the_method(data: Path, tmp_path: Path) -> None:
    file = study_file(tmp_path / "s.toml", models=MODELS, explain=EXPLAIN)
    output = CliRunner().invoke(app, ["run", str(file), "--data", str(data), "--dry-run"], catch_exceptions=False)
    (line,) = [line for line in output.output.splitlines() if "Guided" in line]
    assert "warning: no maps of Guided backpropagation for 'silu'" in line and "ReLUs" in line
    silent = cxrlens.plan(study(models=MODELS, explain={"figures": []} | {"gallery": False}), data, device="cpu")
    assert silent.without == ()


def test_the_others_get_their_maps_and_gallery_and_page_say_what_is_missing(run: cxrlens.Run) -> None:
    path = run.folder.path
    assert (path / "figures" / "figure1.png").stat().st_size > 10_000
    (one,) = told(run)
    assert (one["what"], one["model"]) == ("maps of Guided backpropagation", "silu") and "ReLUs" in one["reason"]
    shown = read_gallery(run.folder, ["cnn", "silu"])
    assert shown is not None
    assert {model: [*maps] for model, maps in shown.maps.items()} == {
        "cnn": ["grad_cam", "guided_backprop"], "silu": ["grad_cam"],
    }  # fmt: skip
    assert [*shown.missing] == ["silu"]
    assert (path / "report.html").read_text().count("No maps of Guided backpropagation for") == 2  # figure and gallery


def test_an_unforeseen_fault_of_one_model_takes_nothing_else_away_and_is_tried_again(
    run: cxrlens.Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = study(models=MODELS, explain={**EXPLAIN, "figures": [1, 2], "iterations": 1, "methods": ["grad_cam"]})
    real, real_pictures = model_explanation.attribute, stage.logit_pictures

    def failing(model: Any, images: Any, method: str) -> Any:
        if model.backbone.architecture == "benchmark_cnn":
            raise RuntimeError("no memory here")
        return real(model, images, method)

    def no_pictures(shown: Any, *rest: Any) -> Any:
        if shown.name == "silu":
            raise ZeroDivisionError("by zero")
        return real_pictures(shown, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_explanation, "attribute", failing)
        patch.setattr(stage, "logit_pictures", no_pictures)
        done = cxrlens.run(requested, data, out=tmp_path, device="cpu")
    assert [(one["what"], one["model"], one["reason"]) for one in told(done)] == [
        ("maps of Grad-CAM", "cnn", "RuntimeError: no memory here"),
        ("Figure 2", "silu", "ZeroDivisionError: by zero"),
    ]
    assert {"figure1.png", "figure2.png"} <= {each.name for each in (tmp_path / "figures").iterdir()}
    assert "no memory here" in (tmp_path / "report.html").read_text()
    with nothing_trained(tmp_path):
        again = cxrlens.run(requested, data, out=tmp_path, device="cpu")
    assert told(again) == []
    with np.load(tmp_path / "figures" / "figure1" / "cnn.npz") as file:
        assert "grad_cam" in file.files


def test_an_image_that_the_study_names_and_is_not_there_is_asked_for_before_training(
    data: Path, tmp_path: Path
) -> None:
    for names in ({"images": ["none.png"]}, {"also": ["none.png"]}):
        requested = study(explain={**EXPLAIN, "methods": ["grad_cam"], **names})
        with (
            nothing_trained(tmp_path),
            pytest.raises(UserError, match=r"\[explain\]: unknown image 'none\.png'"),
        ):
            cxrlens.run(requested, data, out=tmp_path / "run", device="cpu")
        with pytest.raises(UserError, match=r"\[explain\]: unknown image 'none\.png'"):
            cxrlens.plan(requested, data, device="cpu")


def test_new_images_are_explained_by_the_models_that_can(run: cxrlens.Run, data: Path, tmp_path: Path) -> None:
    explain_images(run, [data / "0.png"], out=tmp_path / "maps.png", methods=["guided_backprop"], device="cpu")
    assert [each.name for each in (tmp_path / "maps").iterdir()] == ["cnn.npz"]
    with pytest.raises(UserError, match="unknown method 'gradcma'"):
        explain_images(run, [data / "0.png"], out=tmp_path / "maps.png", methods=["gradcma"], device="cpu")


def test_every_method_can_be_tried_on_a_network_that_can_have_all() -> None:
    model = build_classifier(ModelOptions(name="a row"), 64, 0).train()
    assert {name: method_fault(model, name) for name in METHODS} == dict.fromkeys(METHODS, "")
    assert model.training
