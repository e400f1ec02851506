"""The gallery's arrays, and the page from a run's folder: what is kept, what is made again, what a run may lack."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

import cxrlens
from cxrlens.evaluate.calibration import choose_threshold
from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import Attribution
from cxrlens.files import write_text
from cxrlens.pipeline import gallery
from cxrlens.pipeline.gallery import read_gallery, reduced, sampled
from cxrlens.pipeline.report import read_run, write_page
from cxrlens.report.report_data import ReportData
from support.trainings import nothing_trained

NAMES = ("small network", "frozen network")


@pytest.fixture(scope="module")
def shown(finished: cxrlens.Run, tmp_path_factory: pytest.TempPathFactory) -> cxrlens.Run:
    """The tiny run with a gallery: nothing is trained again."""
    out = tmp_path_factory.mktemp("gallery") / "run"
    shutil.copytree(finished.folder.path, out)
    with nothing_trained(out):
        return again(finished, out)


def again(run: cxrlens.Run, out: Path, **changes: object) -> cxrlens.Run:
    options = run.study.explain.model_copy(update={"gallery": True, **changes})
    return cxrlens.run(run.study.model_copy(update={"explain": options}), out=out, device="cpu")


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def test_the_arrays_are_the_first_networks_own_maps_of_every_validation_image(shown: cxrlens.Run) -> None:
    folder = shown.folder.path / "maps"
    images = arrays(folder / "images.npz")
    table = shown.folder.read_table(shown.folder.path / "splits.csv")
    assert images["images"].tolist() == table.loc[table["side"] == "validation", "image"].tolist()
    assert images["pixels"].dtype == np.uint8 and images["pixels"].shape[1:] == (64, 64)
    assert images["lungs"].shape == images["pixels"].shape and images["lungs"].any((1, 2)).all()
    result = arrays(folder / "frozen-network.npz")
    model = shown.model("frozen network", seed=0)
    pixels = torch.from_numpy(images["pixels"].astype(np.float32) / 255)[:, None]
    for method in ("grad_cam", "saliency"):
        expected = attribute(model, pixels, method)
        assert result[method].dtype == np.float16 and result[f"{method} margin"].tolist() == list(expected.margin)
        assert result[method].shape == tuple(expected.maps.shape)
        raw = result[method].astype(np.float32) * float(result[f"{method} unit"])
        np.testing.assert_allclose(raw, expected.maps, rtol=2e-3, atol=1e-3 * float(expected.maps.abs().max()))
    training = shown.folder.read_table(shown.folder.unit("frozen-network", 0, 0).folder / "train_predictions.csv")
    assert result["threshold"] == pytest.approx(expit(choose_threshold(training["label"], training["logit"])))
    assert result["threshold logit"] == choose_threshold(training["label"], training["logit"])


def test_tiny_gradients_keep_their_size_in_half_precision(shown: cxrlens.Run) -> None:
    packed = gallery._packed("saliency", torch.tensor([[[3e-9, -1e-9]]]), (0, 0))
    raw = packed["saliency"].astype(float) * float(packed["saliency unit"])
    np.testing.assert_allclose(raw, [[[3e-9, -1e-9]]], rtol=1e-3)
    assert np.log2(packed["saliency unit"]) % 1 == 0
    assert not gallery._packed("grad_cam", torch.zeros(1, 2, 2), (0, 0))["grad_cam"].any()


def test_what_is_there_is_not_made_again_and_a_damaged_file_is(
    shown: cxrlens.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(shown.folder.path, tmp_path / "run")
    broken = out / "maps" / "small-network.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    requested, real = [], gallery.attribute
    monkeypatch.setattr(gallery, "attribute", lambda *given: requested.append(given[2]) or real(*given))
    again(shown, out)
    assert requested == ["grad_cam", "saliency"]
    np.testing.assert_array_equal(
        arrays(broken)["saliency"], arrays(shown.folder.path / "maps" / "small-network.npz")["saliency"]
    )
    again(shown, out)
    assert len(requested) == 2
    again(shown, out, methods=("occlusion",))
    assert set(requested[2:]) == {"occlusion"} and "saliency" not in arrays(broken)


def test_a_method_that_overflows_takes_no_other_away(
    shown: cxrlens.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = shutil.copytree(shown.folder.path, tmp_path / "run"), gallery.attribute
    shutil.rmtree(out / "maps")

    def failing(*given: object) -> Attribution:
        if given[2] == "saliency":
            raise cxrlens.UserError("not finite")
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(gallery, "attribute", failing)
    again(shown, out)
    result = read_run(cxrlens.Run.open(out).folder).gallery
    assert result is not None and [set(result.maps[name]) for name in NAMES] == [{"grad_cam"}] * 2


def test_large_maps_are_reduced_and_keep_their_sign() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 0], maps[0, 0, 1], maps[0, 2, 2], maps[0, 3, 3] = -3, 2, 1, 3
    given = Attribution(maps, "saliency", None, (0,), (4, 4), "magnitude")
    assert reduced(given, 2).tolist() == [[[-3, 0], [0, 3]]]
    assert reduced(replace(given, displayed="signed"), 2).tolist() == [[[-0.25, 0], [0, 1]]]
    assert reduced(given, 4) is maps


def test_of_many_images_a_seeded_sample_is_shown() -> None:
    names = [f"{number:04d}" for number in range(900)]
    some = sampled(names, seed=1)
    assert len(some) == 400 and some == sorted(some) and some == sampled(names, seed=1) != sampled(names, seed=2)


def test_a_run_is_read_whole(shown: cxrlens.Run) -> None:
    result = read_run(shown.folder)
    assert result.gallery is not None and set(result.gallery.maps) == set(NAMES)
    assert set(result.gallery.thresholds) == set(NAMES) and set(result.cohort["side"]) == {"train", "validation"}
    assert result.results["cohort"].get("left_out", {}) == {} and result.audit is None and result.explanations is None
    assert result.environment["stages"][-1]["name"] == "gallery"
    own = arrays(shown.folder.path / "maps" / "small-network.npz")
    np.testing.assert_allclose(
        result.gallery.maps["small network"]["saliency"], own["saliency"].astype(float) * own["saliency unit"]
    )


def test_maps_of_other_images_are_not_shown(shown: cxrlens.Run, tmp_path: Path) -> None:
    out = shutil.copytree(shown.folder.path, tmp_path / "run")
    path = out / "maps" / "small-network.npz"
    result = arrays(path)
    np.savez(path, **{**result, "images": result["images"][::-1]})
    shown_now = read_gallery(cxrlens.Run.open(out).folder, NAMES)
    assert shown_now is not None and set(shown_now.maps) == {"frozen network"}


def test_a_study_that_wants_no_gallery_has_none_though_maps_are_there(shown: cxrlens.Run, tmp_path: Path) -> None:
    out = shutil.copytree(shown.folder.path, tmp_path / "run")
    assert 'id="gallery"' in (out / "report.html").read_text()
    again(shown, out, gallery=False)
    assert 'id="gallery"' not in (out / "report.html").read_text()


def test_the_page_can_be_changed_before_it_is_written_and_put_elsewhere(shown: cxrlens.Run, tmp_path: Path) -> None:
    def change(reading: ReportData) -> ReportData:
        return replace(reading, gallery=None, results={**reading.results, "question": "another question"})

    path = write_page(shown.folder, change, tmp_path / "other name é.html")
    text = path.read_text(encoding="utf-8")
    assert "another question" in text and 'id="gallery"' not in text
    assert "another question" not in (shown.folder.path / "report.html").read_text()


def test_a_run_of_before_and_one_with_another_versions_audit_have_a_page(shown: cxrlens.Run, tmp_path: Path) -> None:
    out = shutil.copytree(shown.folder.path, tmp_path / "run")
    for name in ("exclusions.json", "splits.csv", "environment.json"):
        (out / name).unlink()
    for audit in (json.dumps({"schema_version": 99}), "not json", "[]"):
        write_text(out / "audit.json", audit)
        text = write_page(cxrlens.Run.open(out).folder).read_text()
        assert text.count("another version of cxrlens") == 2


def test_folds_are_the_sides_of_a_cross_validation(shown: cxrlens.Run, tmp_path: Path) -> None:
    out = shutil.copytree(shown.folder.path, tmp_path / "run")
    images = shown.cohort["image"].tolist()
    lines = [
        f"{image},{fold},{'validation' if at % 2 == fold else 'train'}"
        for fold in (0, 1)
        for at, image in enumerate(images)
    ]
    write_text(out / "splits.csv", "\n".join(["image,fold,side", *lines]) + "\n")
    sides = read_run(cxrlens.Run.open(out).folder).cohort["side"]
    assert sides.tolist() == [f"fold {at % 2}" for at in range(len(images))]
