"""A wrong argument of a public function is an error that says what was needed and what came."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cxrlens as cx
from cxrlens.arguments import shown
from cxrlens.models.classifier import ModelOptions, build_classifier
from cxrlens.progress import SILENT
from cxrlens.run_folder import RunFolder
from support.handmade_run import run_folder

ARRAY = np.zeros((2, 3))
NO_TEXT: list[object] = [{}, 5, 2.5, True, b"x", ARRAY, object()]
NO_PATH = [*NO_TEXT, "", "a\0b"]
NO_CLASS = [{}, 5, 2.5, True, "nonsense", b"x", [1], ARRAY, object()]
NO_NUMBER: list[object] = [{}, True, "5", b"x", [1], ARRAY, object(), None]
# Parameter's annotation → a value that fits, and values that do not.
VALUES: dict[str, tuple[object, list[object]]] = {
    "SearchOptions | None": (None, [1, "rotation", {"folds": 3}]),
    "str": ("auto", [*NO_TEXT, None, ["a"]]),
    "str | None": (None, [*NO_TEXT, ["a"]]),
    "str | Path": ("gone", [*NO_PATH, None, ["a"]]),
    "str | Path | None": (None, [*NO_PATH, ["a"]]),
    "Study | str | Path": ("gone.toml", [*NO_PATH, None, ["a"]]),
    "Study | str | Path | None": (None, [*NO_PATH, ["a"]]),
    "PretrainStudy | str | Path": ("gone.toml", [*NO_PATH, None, ["a"]]),
    "Paths": ("gone.png", [*NO_PATH, None, [None], [5], ["a", ""], {"a": 1}]),
    "str | Path | Sequence[str | Path]": ("gone.png", [*NO_PATH, None, [None], [5], ["a", ""], {"a": 1}]),
    "Sequence[FinishedRun | str | Path]": (["a", "b"], [*NO_PATH, None, [None], "text"]),
    "str | Sequence[str]": ("a", [*NO_TEXT, None, [5], [None]]),
    "str | Sequence[str] | None": (None, [*NO_TEXT, [5], [None]]),
    "Sequence[int]": ([0], [{}, 5, 2.5, True, "5", [2.5], ["a"], [True], None, ARRAY]),
    "int | Sequence[int] | None": (None, [{}, 2.5, True, "5", [2.5], ["a"], [True], ARRAY]),
    "int": (0, [*NO_NUMBER, 2.5, float("nan")]),
    "int | None": (None, [*NO_NUMBER[:-1], 2.5, float("inf")]),
    "float": (0.5, NO_NUMBER),
    "float | None": (None, NO_NUMBER[:-1]),
    "np.ndarray | Sequence[float]": ([1.0], ["text", 5, None, ["a"], {}]),
    "Interpolation": ("nearest", [None, "bicubik", 5, ["nearest"], {}]),
    "Literal['head', 'all'] | tuple[str, ...]": ("all", [None, "hed", 5, {}, [5], ARRAY]),
    "Preprocessing": (None, [None, *NO_CLASS]),
    "bool": (False, [0, 1, None, "yes", {}, ARRAY]),
    "Progress": (SILENT, [None, *NO_CLASS]),
    "Classifier": (None, [None, *NO_CLASS]),
    "Tensor": (torch.rand(1, 1, 64, 64), [None, {}, 5, "text", ARRAY, [[1.0]]]),
    "Attribution": (None, [None, *NO_CLASS]),
    "Display | str": ("shared", [None, {}, 5, ARRAY]),
    "Objective | Sequence[Objective]": (cx.Objective.logit(), [None, {}, 5, "logit", [5], ["logit"]]),
    "MaximizeOptions": (cx.MaximizeOptions(), [None, {}, 5, "modern", ARRAY]),
    "Mapping[str, Any]": ({}, [None, 5, "text", [1], ARRAY]),
}
ARRAYS = {"auc_interval", "auc_difference"}  # they take whatever numpy makes an array of, and check that
NOT_YET: set[str] = set()


def network() -> cx.Classifier:
    return build_classifier(ModelOptions(name="small"), 64, seed=0).eval()


def doors() -> dict[str, Callable[..., Any]]:
    """The public functions and methods that take arguments."""
    functions = {name: getattr(cx, name) for name in cx.__all__ if inspect.isfunction(getattr(cx, name))}
    of_run = dict(inspect.getmembers(cx.Run, inspect.isfunction)) | {"open": cx.Run.open}
    methods = {f"Run.{name}": method for name, method in of_run.items() if not name.startswith("_")}
    others = {"Study.load": cx.Study.load, "Study.of": cx.Study.of, "PretrainStudy.of": cx.PretrainStudy.of}
    others |= {"PretrainStudy.load": cx.PretrainStudy.load, "Objective.channel": cx.Objective.channel}
    others |= {"Explanation.maps": cx.Explanation.maps, "Attribution.enlarged": cx.Attribution.enlarged}
    others |= {f"Classifier.{name}": getattr(cx.Classifier, name) for name in ("freeze_but", "set_preprocessing")}
    every = {**functions, **methods, **others}
    return {name: door for name, door in every.items() if name not in ARRAYS | NOT_YET}


def parameters(door: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    of_one_value = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    result = {name: part for name, part in inspect.signature(door).parameters.items() if part.kind in of_one_value}
    return {name: part for name, part in result.items() if name != "self"}


@pytest.mark.parametrize("name", doors())
def test_an_argument_of_another_kind_says_what_was_needed_and_what_came(name: str, tmp_path: Path) -> None:
    door, own = doors()[name], {}
    if name.startswith("Run.") and name != "Run.open":
        own = {"self": cx.Run(RunFolder(tmp_path))}
    if name.startswith("Classifier."):
        own = {"self": network()}
    if name == "Attribution.enlarged":
        own = {"self": cx.attribute(network(), torch.rand(1, 1, 64, 64))}
    if name == "Explanation.maps":
        own = {"self": cx.Explanation(tmp_path, (), ())}
    model = network()
    fitting: dict[str, object] = {"Classifier": model}
    if name == "overlay":
        fitting["Attribution"] = cx.attribute(model, torch.rand(1, 1, 64, 64))
    for parameter, part in parameters(door).items():
        if name == "Run.predict" and parameter == "run":
            continue
        others = {
            other: fitting.get(one.annotation, VALUES[one.annotation][0])
            for other, one in parameters(door).items()
            if other != parameter and one.default is one.empty
        }
        for wrong in VALUES[part.annotation][1]:
            with pytest.raises(cx.UserError) as caught:
                door(**own, **others, **{parameter: wrong})
            assert str(caught.value).startswith(f"{parameter} must be "), (parameter, wrong, caught.value)
            assert f"; got {shown(wrong)}" in str(caught.value), caught.value


@pytest.mark.parametrize("name", doors())
def test_an_unknown_or_absent_argument_is_pythons_own_error(name: str) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'nonsense'|missing .* required"):
        doors()[name](nonsense=1)


IMAGES = torch.rand(2, 1, 64, 64)
LABELS, SCORES, PATIENTS = [0, 1] * 10, [0.1 * row for row in range(20)], [f"p{row}" for row in range(20)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: cx.attribute(model, torch.rand(1, 1, 96, 96)), r"images of 64 x 64 .*got \[1, 1, 96, 96\]"),
        (lambda model: cx.attribute(model, torch.rand(1, 3, 64, 64)), r"must be \[b, 1, h, w\].*got \[1, 3, 64, 64\]"),
        (lambda model: cx.attribute(model, IMAGES, "gradcam"), "unknown method 'gradcam'; did you mean 'grad_cam'"),
        (lambda model: cx.attribute(model, IMAGES, target=-1), "target counts from 0; got -1"),
        (lambda model: cx.attribute(model, IMAGES, target=3), "target must be below 1|one logit|logit"),
        (lambda model: cx.attribute(model, IMAGES, batch=0), "batch: .*got 0"),
        (lambda model: cx.reference_activations(model, cx.Objective.logit(), torch.rand(1, 1, 32, 32)), "64 x 64"),
        (lambda model: cx.reference_activations(model, cx.Objective.logit(), IMAGES[0]), r"\[b, 1, h, w\]"),
        (lambda model: cx.reference_activations(model, cx.Objective.logit(), IMAGES, batch=0), "at least 1; got 0"),
        (lambda model: cx.reference_activations(model, [], IMAGES), "at least one objective; got none"),
        (lambda model: cx.maximize(model, cx.Objective.channel("relu9", 0)), "unknown layer 'relu9'"),
        (lambda model: cx.maximize(model, cx.Objective.logit(), seeds=[-1]), r"whole numbers in \[0, 2\*\*32\)"),
        (lambda model: cx.maximize(model, []), "at least one objective and one seed; got 0"),
        (lambda model: cx.overlay(IMAGES[:1], cx.attribute(model, IMAGES)), r"\[2, 1, 64, 64\]; got \[1, 1, 64, 64\]"),
        (lambda model: cx.overlay(IMAGES, cx.attribute(model, IMAGES), scale=-1.0), "at least 0.*got -1.0"),
        (lambda model: cx.overlay(IMAGES, cx.attribute(model, IMAGES), display="papre"), "did you mean 'paper'"),
        (lambda _: cx.shared_scale(torch.zeros(0, 4, 4)), r"at least one map; got maps of shape \[0, 4, 4\]"),
        (lambda _: cx.shared_scale(IMAGES, 101), "percentile must be from 0 to 100; got 101"),
        (lambda _: cx.assess_convergence(float("nan"), [1.0]), "activation must be finite; got nan"),
        (lambda _: cx.assess_convergence(1.0, []), "at least one image"),
        (lambda _: cx.Objective.channel("conv", -1), "channel: .*got -1"),
        (lambda _: cx.MaximizeOptions(batch=0), "MaximizeOptions: batch: .*got 0"),
        (lambda _: cx.MaximizeOptions(iterasions=5), "unknown key 'iterasions'; did you mean 'iterations'"),
        (lambda _: cx.SOURCES["phantom"](patients=-1), "Phantom: patients: .*got -1"),
        (lambda _: cx.auc_interval(LABELS, SCORES, PATIENTS, level=95), "level"),
        (lambda _: cx.auc_interval(LABELS, SCORES[:-1], PATIENTS), "20.*19|19.*20"),
        (lambda _: cx.auc_interval({"a": 1}, SCORES, PATIENTS), "labels"),
        (lambda _: cx.auc_interval(LABELS, None, PATIENTS), "scores"),
        (lambda _: cx.auc_difference(LABELS, SCORES, "text", PATIENTS), "scores|b "),
        (lambda _: cx.compare_runs(["one"]), "does not exist"),
        (lambda _: cx.compare_runs([]), "at least two runs; got 0"),
        (lambda _: cx.run("gone.toml"), "cannot read the file gone.toml"),
        (lambda _: cx.plan("gone.toml"), "cannot read the file gone.toml"),
        (lambda _: cx.check("gone.toml"), "cannot read the file gone.toml"),
        (lambda _: cx.pretrain("gone.toml"), "cannot read the file gone.toml"),
        (lambda _: cx.Study.of({"name": "x", "modls": []}), "at least one"),
    ],
)  # fmt: skip
def test_a_wrong_value_says_what_was_needed(call: Callable[[cx.Classifier], object], message: str) -> None:
    with pytest.raises(cx.UserError, match=message):
        call(network())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "at least 1 and at most 16384 pixels; got 0"),
        ({"size": -5}, "at least 1 and at most 16384 pixels; got -5"),
        ({"size": 10**12}, "at least 1 and at most 16384 pixels; got 1000000000000"),
        ({"size": 64, "interpolation": "bicubik"}, "did you mean 'bicubic'"),
        ({"size": 64, "depth": 0}, "bits from 1 to 16; got 0"),
        ({"size": 64, "depth": 17}, "bits from 1 to 16; got 17"),
    ],
)
def test_an_image_is_read_at_a_possible_size_and_depth_only(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8)).save(file)
    with pytest.raises(cx.UserError, match=message):
        cx.load_image(file, **options)
    assert cx.load_image(file, size=np.int64(64)).shape == (1, 1, 64, 64), "a whole number of numpy is one"


@pytest.mark.parametrize("name", [None, 5, ["grad_cam"], {"a": 1}, "grad_cma"])
def test_a_registry_says_what_it_has(name: Any) -> None:
    assert name not in cx.METHODS
    with pytest.raises(cx.UserError, match=r"unknown attribution method|unknown method"):
        _ = cx.METHODS[name]


def test_a_run_is_a_folder(tmp_path: Path) -> None:
    file = run_folder(tmp_path / "run") / "results.json"
    for openings in (lambda: cx.Run.open(file), lambda: cx.compare_runs([tmp_path / "run", file])):
        with pytest.raises(cx.UserError, match=r"a finished run is a folder, such as runs/NAME; got the file .*json"):
            openings()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.split("validaton"), "unknown set 'validaton'; did you mean 'validation'"),
        (lambda run: run.model("week"), "unknown model 'week'"),
        (lambda run: run.model("weak", seed=-1), "was not trained with seed -1"),
        (lambda run: run.size("weak", fold=-1), "was not trained with seed 0, fold -1"),
        (lambda run: run.predict([]), "at least one image or folder; got none"),
        (lambda run: run.explain([]), "at least one image; got none"),
        (lambda run: run.predict("gone.png"), "no such image or folder: gone.png"),
        (lambda run: run.evaluate(out="result.csv"), "ends in .json; got result.csv"),
        (lambda run: run.report("page.pdf"), "html"),
    ],
)
def test_a_run_names_what_it_does_not_have(call: Callable[[cx.Run], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(cx.UserError, match=message):
        call(cx.Run.open(run_folder(tmp_path / "run")))


def test_maps_of_another_size_than_the_networks_say_so() -> None:
    pooled = build_classifier(ModelOptions(name="a", backbone="resnet10t", head="linear"), 64, seed=0).eval()
    assert (
        "96 x 96 pixels, but the network is for images of 64 x 64"
        in cx.attribute(pooled, torch.rand(1, 1, 96, 96)).warning
    )
    assert not cx.attribute(pooled, IMAGES).warning
