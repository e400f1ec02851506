"""The lungs of a run's images: which origin is taken, for both sides alike, and where severity is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrlens
from cxrlens.pipeline.audit.cases import LungStore, read_severity
from cxrlens.pipeline.prepare import Prepared, prepare

SIZE = 64


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    raw = {
        "name": "lungs",
        "data": {"source": "phantom", "patients": 24, "images_per_patient": [1, 1], "size": 64, "seed": 3},
        "images": {"size": SIZE},
        "split": {"validation": 0.5},
        "models": [{"name": "any"}],
    }
    return prepare(cxrlens.Study.of(raw), None)


def store(
    prepared: Prepared, root: Path | None, own: Mapping[str, np.ndarray | None] | None = None, **audit: str
) -> LungStore:
    """The run's lungs; `own` is what the source knows of each image, if it need not be asked."""
    study = prepared.study
    requested = study.model_copy(update={"audit": study.audit.model_copy(update=audit)})
    made = LungStore(replace(prepared, study=requested), root)
    made._own.update(own or {})
    return made


def at(store: LungStore) -> list:
    split = store.prepared.splits[0]
    pixels = np.random.default_rng(0).random((len(split.validation) + len(split.train), SIZE, SIZE), np.float32)
    return store.at(SIZE, split.validation, split.train, pixels)


def write_masks(folder: Path, images: list[str]) -> None:
    folder.mkdir()
    for image in images:
        mask = np.zeros((32, 32), np.uint8)
        mask[:8] = 255
        Image.fromarray(mask).save(folder / f"{Path(image).stem}.png")


def squares(own: dict[str, np.ndarray], images: tuple[str, ...]) -> np.ndarray:
    result = [Image.fromarray(own[image]).resize((SIZE, SIZE), Image.Resampling.NEAREST) for image in images]
    return np.stack([np.asarray(square) for square in result])


@pytest.fixture(scope="module")
def own(prepared: Prepared) -> dict[str, np.ndarray]:
    """What the source knows."""
    paths = prepared.cohort.table.set_index("image")["path"]
    return {image: prepared.study.data.lungs(paths[image]) for image in prepared.cohort.images}


def test_a_source_that_knows_its_lungs_needs_no_folder_and_is_asked_once(
    prepared: Prepared, own: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    split, given, requested = prepared.splits[0], store(prepared, None), []
    image_of = {path: image for image, path in zip(prepared.cohort.images, prepared.cohort.table["path"], strict=True)}
    monkeypatch.setattr(
        type(prepared.study.data), "lungs", lambda self, path: requested.append(path) or own[image_of[path]]
    )
    inside, outside = at(given)
    assert inside.origin == outside.origin == "masks" and inside.known.all() and not inside.refused
    assert "source itself" in inside.worth
    np.testing.assert_array_equal(inside.masks, squares(own, split.validation))
    np.testing.assert_array_equal(outside.masks, squares(own, split.train))
    at(given)
    assert len(requested) == len(prepared.cohort.images)


def test_a_folder_that_the_study_names_comes_first(
    prepared: Prepared, own: dict[str, np.ndarray], tmp_path: Path
) -> None:
    write_masks(tmp_path / "drawn", prepared.cohort.images)
    inside, outside = at(store(prepared, tmp_path, own, masks="drawn"))
    assert inside.worth == outside.worth and "drawn" in inside.worth
    assert inside.masks[:, :16].all() and not inside.masks[:, 16:].any() and outside.masks[:, :16].all()


def test_masks_of_one_class_are_left_for_the_sources_own_on_both_sides(
    prepared: Prepared, own: dict[str, np.ndarray], tmp_path: Path
) -> None:
    split, labels = prepared.splits[0], prepared.labels
    write_masks(tmp_path / "drawn", [image for image in prepared.cohort.images if labels[image] == 1])
    inside, outside = at(store(prepared, tmp_path, own, masks="drawn"))
    assert len(inside.refused) == 1 and "would reveal the label" in inside.refused[0]
    np.testing.assert_array_equal(inside.masks, squares(own, split.validation))
    np.testing.assert_array_equal(outside.masks, squares(own, split.train))


def test_boxes_and_a_segmenter_wait_behind_masks(
    prepared: Prepared, own: dict[str, np.ndarray], tmp_path: Path
) -> None:
    lines = [f"{image},0.1,0.1,0.3,0.3" for image in prepared.cohort.images]
    (tmp_path / "boxes.csv").write_text("\n".join(["filename,x,y,width,height", *lines]))
    both, nothing = {"boxes": "boxes.csv", "segmenter": "numpy:isfinite"}, dict.fromkeys(prepared.cohort.images)
    assert at(store(prepared, tmp_path, own, **both))[0].origin == "masks"
    inside, outside = at(store(prepared, tmp_path, nothing, **both))
    assert inside.origin == outside.origin == "boxes" and inside.masks.mean() == pytest.approx(0.09, abs=0.01)
    inside, outside = at(store(prepared, tmp_path, nothing, segmenter="numpy:isfinite"))
    assert inside.origin == "segmenter" and outside.masks.all()
    assert [each.origin for each in at(store(prepared, None, nothing))] == ["fallback", "fallback"]


def test_few_images_leave_nobody_who_knows(prepared: Prepared, own: dict[str, np.ndarray]) -> None:
    given, split = store(prepared, None, own), prepared.splits[0]
    inside, outside = given.at(SIZE, split.validation[:3], split.train[:4], np.zeros((7, SIZE, SIZE), np.float32))
    assert inside.origin == outside.origin == "none" and len(inside.refused) == 2
    assert len(inside.known) == 3 and len(outside.known) == 4 and not outside.known.any()


def test_what_is_not_in_the_folder_is_a_reason_beside_the_next_best(prepared: Prepared, tmp_path: Path) -> None:
    nothing = dict.fromkeys(prepared.cohort.images)
    inside, _ = at(store(prepared, tmp_path, nothing, masks="mask", boxes="boxs.csv"))
    assert inside.origin == "fallback" and inside.refused == (
        "masks: there is no mask in the folder of the images",
        "boxes: there is no boxs.csv in the folder of the images",
    )


def test_a_path_needs_a_folder_to_start_from(prepared: Prepared) -> None:
    for what in ("masks", "boxes"):
        with pytest.raises(cxrlens.UserError, match=rf"\[audit\] {what}: 'x' starts from the folder of the images"):
            at(store(prepared, None, **{what: "x"}))


def test_severity_is_every_column_of_numbers_in_the_images_order(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("## licence,,\nfilename,extent_mean,opacity,words\nb.png,2,,x\na.png,1.5,,y\nz.png,9,1,z\n")
    result = read_severity(path, ["a.png", "c.png", "b.png"])
    assert list(result) == ["extent mean"]
    np.testing.assert_array_equal(result["extent mean"], [1.5, np.nan, 2])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,extent\na.png,1\n", "needs a column filename; it has image, extent"),
        ("", "is not a table"),
        ("# only this\n", "is not a table"),
        ("filename,extent\na.png,1\nb.png,1,2\n", "is not a table"),
        ("filename,extent\na.png,1\na.png,2\n", "'a.png' twice"),
        (None, "cannot read"),
    ],
)
def test_a_severity_table_of_another_form_is_named(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "scores.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(cxrlens.UserError, match=told):
        read_severity(path, ["a.png"])


def test_the_experts_scores_of_the_collection_are_read(shared: Path) -> None:
    folder = shared / "data" / "covid-chestxray-2020-05-04"
    images = [line.split(",")[0] for line in (folder / "severity_scores.csv").read_text().splitlines()]
    result = read_severity(folder / "severity_scores.csv", images)
    assert {int(np.isfinite(scores).sum()) for scores in result.values()} == {94}
    assert len(result) == 2
