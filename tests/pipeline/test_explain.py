"""The figures of a run: what is in them, that they are made once, and that any image can be explained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import cxrlens
from cxrlens.explain.attribute import attribute
from cxrlens.explain.attribution_options import ExplainOptions, FigureImage
from cxrlens.files import write_text
from cxrlens.pipeline.array_cache import cached_arrays
from cxrlens.pipeline.explain import stage
from cxrlens.report import figures
from support.trainings import nothing_trained

OPTIONS = ExplainOptions(
    iterations=2, unit_iterations=2, units=3, spectrum_seeds=3, spectrum_iterations=1, methods=("grad_cam", "saliency")
)
NAMES = ("small-network", "frozen-network")


@pytest.fixture(scope="module")
def explained(finished: cxrlens.Run, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    """The tiny run, explained afterwards: nothing is trained again."""
    out = tmp_path_factory.mktemp("explained") / "run"
    shutil.copytree(finished.folder.path, out)
    splits = finished.folder.read_table(out / "splits.csv")
    training = splits.loc[splits["side"] == "train", "image"].iloc[0]
    with nothing_trained(out):
        return again(finished, out, OPTIONS.model_copy(update={"also": (training,)}))


def again(run: cxrlens.Run, out: Path, options: ExplainOptions) -> cxrlens.Run:
    return cxrlens.run(run.study.model_copy(update={"explain": options}), out=out, device="cpu")


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def test_every_figure_is_there_for_print_with_the_arrays_of_every_model(explained: cxrlens.Run) -> None:
    folder = explained.folder.path / "figures"
    for name in ("figure1", "figure1_also", "figure2", "figure3", "spectrum"):
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 300, name
    inside = ("figure1", "figure1_also", "figure2/a", "figure2/b", "figure3", "spectrum")
    assert all((folder / part / f"{model}.npz").is_file() for part in inside for model in NAMES)


def test_the_arrays_of_figure_1_are_the_networks_own_raw_maps(explained: cxrlens.Run) -> None:
    result = arrays(explained.folder.path / "figures" / "figure1" / "frozen-network.npz")
    model = explained.model("frozen network")
    images = torch.from_numpy(result["pixels"].astype(np.float32) / 255)[:, None]
    for method in OPTIONS.methods:
        torch.testing.assert_close(torch.from_numpy(result[method]), attribute(model, images, method).maps)
    np.testing.assert_allclose(result["probability"], torch.sigmoid(model(images)).detach().numpy(), rtol=1e-4)


def test_the_chosen_images_are_those_of_the_best_models_predictions(explained: cxrlens.Run) -> None:
    best = json.loads((explained.folder.path / "explain.json").read_text())["best"]
    table = explained.predictions
    table = table[(table["model"] == best) & (table["seed"] == 0)].sort_values("probability")
    result = arrays(explained.folder.path / "figures" / "figure1" / f"{best.replace(' ', '-')}.npz")
    surest = table[table["label"] == 1]["probability"].iloc[-1]
    assert result["probability"][0] == pytest.approx(surest, rel=1e-3)


def test_pictures_are_measured_as_they_are_shown_beside_the_cohort(explained: cxrlens.Run) -> None:
    folder, model = explained.folder.path / "figures", explained.model("small network")
    result = arrays(folder / "figure2" / "b" / "small-network.npz")
    shown = model.logits(model.backbone((torch.from_numpy(result["pictures"]) - model.mean) / model.std))
    np.testing.assert_allclose(result["shown"], shown.detach().numpy(), rtol=1e-3, atol=1e-4)
    assert result["curve"].shape == (1, 2)
    units = arrays(folder / "figure3" / "small-network.npz")
    assert units["pictures"].shape == (3, 3, 64, 64) and units["examples"].shape == (3, 2, 64, 64)
    order = np.sort(units["real"], axis=1)[:, ::-1]
    images = explained.cohort["image"].tolist()
    assert units["real"].shape == (3, len(images))
    for row, liked in enumerate(units["liked"]):
        assert [units["real"][row, images.index(image)] for image in liked] == order[row, :2].tolist()


def test_the_pictures_numbers_have_intervals_and_every_pair(explained: cxrlens.Run) -> None:
    result = json.loads((explained.folder.path / "explain.json").read_text())["spectrum"]
    assert [model["name"] for model in result["models"]] == ["small network", "frozen network"]
    for model in result["models"]:
        for measure in ("frequency", "colour"):
            assert model[measure]["low"] <= model[measure]["mean"] <= model[measure]["high"]
            assert model[measure]["seeds"] == 3
    assert len(result["differences"]["colour"]) == 1


def test_what_is_made_is_not_made_again_and_a_damaged_file_is(
    explained: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, options = explained.folder.path, explained.study.explain
    before = (out / "explain.json").read_bytes()
    damaged = out / "figures" / "figure3" / "small-network.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    made = []
    real = stage.maximize
    monkeypatch.setattr(stage, "maximize", lambda *given, **named: made.append(1) or real(*given, **named))
    again(explained, out, options)
    assert made == [1] and (out / "explain.json").read_bytes() == before
    assert len(arrays(damaged)["units"]) == 3


def test_an_interrupt_keeps_the_pictures_that_were_finished(
    explained: cxrlens.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(explained.folder.path, tmp_path / "run")
    shutil.rmtree(out / "figures" / "figure2")
    options, made, real = OPTIONS.model_copy(update={"figures": (2,)}), [], stage.maximize

    def maximize(*given: Any, **named: Any) -> Any:
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(stage, "maximize", maximize)
    with pytest.raises(KeyboardInterrupt):
        again(explained, out, options)
    assert len(list((out / "figures" / "figure2").rglob("*.npz"))) == 2
    again(explained, out, options)
    assert len(made) == 5 and len(list((out / "figures" / "figure2").rglob("*.npz"))) == 4


def test_an_image_that_the_study_names_and_nobody_has_is_named_with_the_nearest(explained: cxrlens.Run) -> None:
    image = explained.cohort["image"].iloc[0]
    wrong = OPTIONS.model_copy(update={"figures": (1,), "images": (image[:-1],)})
    with pytest.raises(cxrlens.UserError, match=rf"\[explain\]: unknown image .* did you mean '{image}'"):
        again(explained, explained.folder.path, wrong)


def test_a_named_image_is_marked_with_its_label_and_the_side_that_it_is_on(
    explained: cxrlens.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = explained.folder.read_table(explained.folder.path / "splits.csv").merge(explained.cohort, on="image")
    named = [table[table["side"] == side].iloc[0] for side in ("train", "validation")]
    seen: list[FigureImage] = []
    monkeypatch.setattr(figures, "maps_figure", lambda images, *_: seen.extend(images) or Figure())
    images = tuple(row["image"] for row in named)
    again(explained, explained.folder.path, OPTIONS.model_copy(update={"figures": (1,), "images": images}))
    words = [f"{'positive' if row['label'] else 'negative'}, " for row in named]
    assert seen == [
        FigureImage(images[0], words[0] + "training image"),
        FigureImage(images[1], words[1] + "validation image"),
    ]


def test_an_unknown_method_or_preset_is_refused_with_the_study(finished: cxrlens.Run) -> None:
    raw = {**finished.study.model_dump(mode="json"), "data": {"source": "phantom"}}
    for table, output in (
        ({"methods": ["grad_cm"]}, "grad_cam"),
        ({"preset": "kerasvis"}, "keras-vis"),
        ({"display": "papr"}, "paper"),
    ):
        with pytest.raises(cxrlens.UserError, match=output):
            cxrlens.Study.of({**raw, "explain": table})


def test_of_several_networks_the_first_seeds_are_shown(explained: cxrlens.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(stage, "figure1", lambda shown, *_: seen.extend((each.name, each.task.seed) for each in shown))
    options = OPTIONS.model_copy(update={"figures": (1,)})
    again(explained, explained.folder.path, options)
    assert seen == [("small network", 0), ("frozen network", 0)]


def test_any_image_is_explained_dicom_too(explained: cxrlens.Run, tmp_path: Path) -> None:
    grey = (np.random.default_rng(0).random((90, 80)) * 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "one.png")
    _dicom(tmp_path / "two.dcm", grey)
    path = explained.explain([tmp_path / "one.png", tmp_path / "two.dcm"], out=tmp_path / "new", device="cpu").figure
    assert path == tmp_path / "new.png" and path.is_file() and path.with_suffix(".pdf").is_file()
    result = arrays(tmp_path / "new" / "small-network.npz")
    assert result["images"].tolist() == ["one.png", "two.dcm"]
    np.testing.assert_array_equal(result["grad_cam"][0], result["grad_cam"][1])  # the same pixels in another file
    one = explained.explain([tmp_path / "one.png"], out=tmp_path / "o", methods=["occlusion"], device="cpu")
    assert "occlusion" in arrays(one.figure.with_suffix("") / "frozen-network.npz")
    with pytest.raises(cxrlens.UserError, match="unknown method 'cam'"):
        explained.explain([tmp_path / "one.png"], out=tmp_path / "o", methods=["cam"], device="cpu")
    with pytest.raises(cxrlens.UserError, match=r"absent\.png"):
        explained.explain([tmp_path / "absent.png"], out=tmp_path / "o", device="cpu")


def _dicom(path: Path, grey: np.ndarray) -> None:
    output = pydicom.Dataset()
    output.file_meta = pydicom.dataset.FileMetaDataset()
    output.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    output.SOPClassUID, output.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "1.2.3"
    output.file_meta.MediaStorageSOPClassUID, output.file_meta.MediaStorageSOPInstanceUID = output.SOPClassUID, "1.2.3"
    output.Rows, output.Columns = grey.shape
    output.SamplesPerPixel, output.PhotometricInterpretation = 1, "MONOCHROME2"
    output.BitsAllocated = output.BitsStored = 8
    output.HighBit, output.PixelRepresentation = 7, 0
    output.PixelData = grey.tobytes()
    output.save_as(path, enforce_file_format=True)


def test_kept_arrays_are_of_what_they_were_made_from(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.npz"
    assert cached_arrays(path, {"seed": 0}, lambda: {"x": np.zeros(2)})["x"].tolist() == [0, 0]
    assert cached_arrays(path, {"seed": 0}, lambda: pytest.fail("made again"))["x"].tolist() == [0, 0]
    assert cached_arrays(path, {"seed": 1}, lambda: {"x": np.ones(2)})["x"].tolist() == [1, 1]
    write_text(path, "not an archive")
    assert cached_arrays(path, {"seed": 1}, lambda: {"x": np.ones(1)})["x"].tolist() == [1]
