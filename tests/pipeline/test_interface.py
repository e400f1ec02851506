"""What a researcher writes in a notebook: every line works on paths as text, and its numbers are the run's."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import cxrlens as cx
from support.dicom_files import write_dicom

STUDY = """
name = "two sizes"
seeds = [0, 1]
[data]
source = "csv_table"
table = "cohort.csv"
images = "images"
image = "image"
label = "label"
patient = "patient"
[images]
size = 64
interpolation = "bilinear"
train_interpolation = "nearest"
[split]
validation = 0.5
[training]
backbone = "tf_efficientnet_lite0"
head = "linear"
epochs = 1
[evaluation]
draws = 200
[explain]
figures = [1]
gallery = false
methods = ["grad_cam"]
[audit]
images = 4
steps = 2
[[models]]
name = "large, all"
size = 96
[[models]]
name = "small, frozen"
weights = "efficientnet-lite0-imagenet"
trained = "head"
"""
NAMES = ["large, all", "small, frozen"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file, and its images in `xrays`."""
    folder = tmp_path_factory.mktemp("work")
    phantom = cx.SOURCES["phantom"](patients=36, images_per_patient=(1, 2), size=100, seed=3)
    for _ in phantom.export(folder / "xrays"):
        pass
    (folder / "my-study.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> cx.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return cx.Run.open(str(cx.run("my-study.toml", data="xrays", device="cpu").folder.path.absolute()))


def predictions(run: cx.Run, model: str) -> pd.DataFrame:
    """Of the model's first network, in the order of the split."""
    return run.predictions.query("model == @model and seed == 0").reset_index(drop=True)


def paths(folder: Path, images: pd.Series) -> list[str]:
    return [str(folder / "xrays" / "images" / image) for image in images]


def test_a_study_file_is_run_into_a_folder_of_its_name_and_kept_as_it_was_written(run: cx.Run, folder: Path) -> None:
    assert run.folder.path == folder / "runs" / "my-study"
    assert run.folder.study.read_text() == STUDY
    assert run.models == NAMES and run.table()["model"].tolist() == NAMES and len(run.comparisons()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_runs_own_images_give_its_predictions(run: cx.Run, name: str) -> None:
    model, expected = run.model(name), predictions(run, name)
    x, y = run.images("validation", model=model.name)
    assert x.shape == (len(expected), 1, model.size, model.size) and x.dtype == y.dtype == torch.float32
    assert 0 <= x.min() < x.max() <= 1
    with torch.inference_mode():
        np.testing.assert_allclose(model(x).numpy(), expected["logit"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(y.numpy(), expected["label"])
    rows = run.split("validation")
    assert rows["image"].tolist() == expected["image"].tolist() and rows["patient"].equals(expected["patient"])
    result = cx.auc_interval(y, model(x), rows["patient"])
    assert result.auc == pytest.approx(run.history(name)["validation_auc"].iloc[-1], abs=1e-6)


def test_training_images_are_those_that_were_trained_on(run: cx.Run) -> None:
    x, y = run.images("train", model="small, frozen")
    rows = run.split("train")
    assert len(x) == len(y) == len(rows) and not set(rows["image"]) & set(run.split()["image"])
    seen = cx.load_image(paths(Path(run.folder.path.parents[1]), rows["image"])[0], size=64, interpolation="nearest")
    assert torch.equal(x[:1], seen)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_loaded_image_is_the_one_that_the_run_prepared(run: cx.Run, folder: Path, kind: type) -> None:
    first = kind(paths(folder, run.split()["image"])[0])
    for name in NAMES:
        model = run.model(name)
        x, _ = run.images(model=name)
        loaded = cx.load_image(first, size=model.size, interpolation="bilinear")
        assert loaded.shape == (1, 1, model.size, model.size) and torch.equal(loaded, x[:1])
        assert torch.equal(run.load_image(first, model=name), loaded)
    assert not torch.equal(cx.load_image(first, size=64), cx.load_image(first, size=64, interpolation="bilinear"))


NOTEBOOK = """
run = cx.Run.open("runs/my-study"); run
run.models; run.table(); run.comparisons()
model = run.model("small, frozen")
x = cx.load_image("new.dcm", size=model.size)
new = x
x, y = run.images("validation", model=model.name)
maps = cx.attribute(model, x, "grad_cam")
run.predict("new.dcm"); run.explain(["a.png"]); outside = run.evaluate(data="other"); page = run.report(names=False)
a = model(x); b = -a; scores = a; patients = run.split("validation")["patient"]
one = cx.auc_interval(y, scores, patients); gap = cx.auc_difference(y, a, b, patients)
"""


@pytest.fixture(scope="module")
def written(run: cx.Run, folder: Path) -> dict[str, Any]:
    """What a notebook's lines come to, in the folder of the study."""
    new = cx.SOURCES["phantom"](patients=20, images_per_patient=(1, 1), size=100, seed=8)
    names = list(new.export(folder / "other"))
    table = pd.read_csv(folder / "other" / "cohort.csv")
    table.assign(patient="B" + table["patient"]).to_csv(folder / "other" / "cohort.csv", index=False)
    shutil.copy(folder / "other" / "images" / names[0], folder / "a.png")
    write_dicom(folder / "new.dcm")
    known: dict[str, Any] = {"cx": cx}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(NOTEBOOK, known)
    return known


def test_every_line_of_a_notebook_works_as_it_is_written(written: dict[str, Any], folder: Path) -> None:
    assert written["new"].shape == (1, 1, 64, 64) and written["new"].dtype == torch.float32
    assert 0 <= written["new"].min() < written["new"].max() <= 1
    assert written["maps"].maps.shape[0] == len(written["x"]) == len(written["y"]) == len(written["patients"])
    assert written["gap"].difference == pytest.approx(2 * written["one"].auc - 1)
    assert (folder / "runs" / "my-study" / "figures" / "explained.png").exists()


def test_other_images_and_a_page_without_names_are_in_the_runs_folder(written: dict[str, Any], run: cx.Run) -> None:
    outside, table = written["outside"], written["outside"].table()
    assert outside.file == Path("runs/my-study/external/other.json") and (run.folder.path / "external").is_dir()
    assert table["model"].tolist() == NAMES and table["outside"].between(0, 1).all()
    assert "two sizes on other: " in repr(outside) and f"AUC {table['inside'][0]:.3f} inside" in repr(outside)
    assert "External validation" in (run.folder.path / "report.html").read_text(encoding="utf-8")
    page = run.folder.path / "report-shared.html"
    assert written["page"].name == page.name and run.split()["image"][0] not in page.read_text(encoding="utf-8")


def test_a_network_that_was_loaded_in_inference_mode_is_explained_all_the_same(run: cx.Run) -> None:
    with torch.inference_mode():
        model = run.model("small, frozen")
        x, _ = run.images(model=model.name)
        assert cx.attribute(model, x[:1], "saliency").maps.any()


def test_what_is_odd_with_a_loaded_image_is_a_warning(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(tmp_path / "small.png")
    with pytest.warns(UserWarning, match=r"small\.png: only 40 x 40 pixels"):
        cx.load_image(tmp_path / "small.png", size=64)


def test_predict_explain_and_figure_1_give_the_probabilities_of_the_run(run: cx.Run, folder: Path) -> None:
    means = run.predictions.groupby(["model", "image"])["probability"].mean()
    images = run.split()["image"]
    files = paths(folder, images)
    many, one = run.predict(files, device="cpu"), run.predict(files[0], device="cpu")
    explained = run.explain(files, device="cpu")
    for number, name in enumerate(NAMES):
        np.testing.assert_allclose(many[name], means[name].loc[images], rtol=1e-4)
        assert one[name].tolist() == pytest.approx(many[name].tolist()[:1], rel=1e-5)
        first = predictions(run, name)["probability"]
        assert explained.models[number].model == name
        np.testing.assert_allclose(explained.models[number].probabilities, first, rtol=1e-4)
        with np.load(run.folder.path / "figures" / "figure1" / f"{name.replace(', ', '-')}.npz") as arrays:
            drawn = arrays["probability"]
        known = first.to_numpy()
        assert len(drawn) and all(np.abs(known - p).min() < 1e-5 for p in drawn)


def test_maps_of_a_loaded_image_are_those_of_explain(run: cx.Run, folder: Path) -> None:
    file = paths(folder, run.split()["image"])[0]
    explained = run.explain(file, methods=["saliency", "grad_cam"], device="cpu")
    assert explained.figure == run.folder.path / "figures" / "explained.png" and explained.figure.exists()
    assert explained._repr_png_()[:8] == explained.figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for name in NAMES:
        maps = cx.attribute(run.model(name), run.load_image(file, model=name), "grad_cam")
        torch.testing.assert_close(explained.maps(name, "grad_cam").maps, maps.maps)
    with pytest.raises(cx.UserError, match=r"unknown model 'small, frzen'; did you mean 'small, frozen'\?"):
        explained.maps("small, frzen", "grad_cam")
    with pytest.raises(cx.UserError, match=r"unknown method 'gradcam'; did you mean 'grad_cam'\?"):
        explained.maps(NAMES[0], "gradcam")


def test_objects_say_what_they_are(run: cx.Run) -> None:
    said = repr(run).splitlines()
    assert said[0] == f"Run of 'two sizes' in {run.folder.path}: 2 models on {len(run.cohort)} images of 36 patients"
    assert [line.split("  AUC ")[0].strip() for line in said[1:]] == NAMES
    assert f"AUC {run.table()['auc'][0]:.3f} [" in said[1]
    assert repr(run.study).startswith("Study 'two sizes': 2 models on images of 'csv_table', split 'patient', 2 seeds")
    model = run.model("small, frozen")
    assert repr(model) == (
        "Classifier 'small, frozen': images [b, 1, 64, 64] in [0, 1] to logits [b]; 3,372,289 parameters, 1,281 of "
        "them trained"
    )
    x, y = run.images(model="small, frozen")
    assert repr(cx.attribute(model, x[:2], "saliency")).startswith(
        "Attribution by saliency: 2 maps of 64 x 64 for images of 64 x 64, values from -"
    )
    cohort = run.study.data.cohort(run.folder.path.parents[1] / "xrays")
    assert repr(cohort).startswith(f"Cohort 'csv_table': {len(run.cohort)} images (") and repr(cohort).endswith(
        " of 36 patients"
    )
    scores = torch.arange(len(y))
    assert repr(cx.auc_interval(y, scores, range(len(y)))).startswith("AUC 0.")
    assert "(95%, by patients" in repr(cx.auc_difference(y, scores, -scores, range(len(y))))
    few = cx.auc_interval([1, 0, 0], [3, 2, 1], range(3))
    assert repr(few).startswith("AUC 1.000 no interval: an interval needs at least 5 patients")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda run, folder: run.model("small frozen"), "unknown model 'small frozen'; did you mean 'small, frozen'?"),
        (lambda run, folder: run.images(model="Large, all"), "did you mean 'large, all'?"),
        (lambda run, folder: run.images("validaton", model=NAMES[0]), "unknown set 'validaton'; did you mean 'vali"),
        (lambda run, folder: run.split(fold=3), "unknown fold 3; this run's split has 1"),
        (lambda run, folder: run.model(NAMES[0], seed=7), "was not trained with seed 7, fold 0"),
        (lambda run, folder: cx.load_image(folder / "xrays" / "cohort.cvs", size=64), "cohort.csv?"),
        (lambda run, folder: run.load_image("nowhere/at/all.png", model=NAMES[0]), "no such image: nowhere/at/all.png"),
        (lambda run, folder: run.predict(str(folder / "xray")), "did you mean "),
        (lambda run, folder: run.explain([folder / "xrays" / "image"]), "xrays/images?"),
        (lambda run, folder: cx.run(folder / "my-stduy.toml"), "my-study.toml?"),
        (lambda run, folder: cx.Run.open(folder / "runs" / "my-studdy"), "runs/my-study?"),
        (lambda run, folder: cx.Run.open(folder), "not a finished run"),
        (lambda run, folder: run.evaluate(out="numbers.csv"), "ends in .json"),
        (lambda run, folder: cx.attribute(run.model(NAMES[1]), torch.rand(1, 1, 64, 64), "gradcam"), "'grad_cam'?"),
        (lambda run, folder: cx.attribute(run.model(NAMES[1]), torch.rand(1, 1, 64, 64).numpy()), "got ndarray"),
        (lambda run, folder: run.predict([]), "predict needs at least one image or folder; got none"),
        (lambda run, folder: run.explain(paths(folder, run.split()["image"][:1]), methods="gradcam"), "'grad_cam'?"),
        (lambda run, folder: run.audit(also="lungs_only_retraind"), "'lungs_only_retrained'?"),
    ],
)
def test_what_is_not_there_is_answered_with_the_nearest_name(run: cx.Run, folder: Path, ask, said: str) -> None:
    with pytest.raises(cx.UserError) as error:
        ask(run, folder)
    assert said in str(error.value)


def test_other_images_in_the_place_of_the_runs_own_are_refused(run: cx.Run, folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder / "xrays", tmp_path / "xrays")
    image = other / "images" / run.split()["image"][0]
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 100), np.uint8)).save(image)
    with pytest.raises(cx.UserError, match="the images are not those of the run"):
        run.images(model=NAMES[0], data=str(other))


def test_every_option_after_the_first_two_arguments_is_given_by_name() -> None:
    works = [getattr(cx, name) for name in cx.__all__ if name.islower()]
    works += [each for name, each in inspect.getmembers(cx.Run, inspect.isfunction) if not name.startswith("_")]
    assert len(works) >= 20
    for work in works:
        taken = [each for name, each in inspect.signature(work).parameters.items() if name != "self"]
        by_place = [each for each in taken if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        options = [each.name for each in by_place[2:] if each.default is not inspect.Parameter.empty]
        assert options == {"attribute": ["method"], "maximize": ["options"]}.get(work.__name__, []), work


def test_importing_cxrlens_imports_nothing_heavy_and_lists_its_names() -> None:
    code = (
        "import sys, cxrlens as cx; heavy = {'torch', 'pandas', 'numpy', 'matplotlib', 'scipy', 'pydantic'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); assert 'Run' in dir(cx)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="did you mean 'load_image'"):
        _ = cx.load_images
