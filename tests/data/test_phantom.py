"""The phantom keeps its promises: the same bytes, true masks, rates as set, no label where none was drawn."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from cxrlens.config import parse
from cxrlens.data.phantom import PhantomImage, PhantomOptions, draw_facts, render
from cxrlens.data.phantom.body import NEGATIVES, NO_FINDING, POSITIVE
from cxrlens.data.phantom.grid import DESIGN_WIDTH, Pose, cloud, make_grid, upsample
from cxrlens.data.phantom.organs import make_chest
from cxrlens.data.phantom.skeleton import splat
from cxrlens.data.sources import SOURCES
from cxrlens.data.sources import phantom as phantom_module
from cxrlens.data.sources.phantom import Phantom
from cxrlens.errors import UserError

SMALL = PhantomOptions(size=96)


def digest(image: PhantomImage) -> str:
    parts = (image.pixels, image.lungs, image.finding, image.marker, image.text)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def with_finding(name: str, options: PhantomOptions) -> int:
    return next(patient for patient in range(400) if draw_facts(patient, 1, options).finding == name)


def test_the_same_seeds_give_the_same_bytes_in_any_order() -> None:
    forwards = {seeds: digest(render(*seeds, SMALL)) for seeds in [(0, 1), (0, 2), (7, 1)]}
    backwards = {seeds: digest(render(*seeds, SMALL)) for seeds in [(7, 1), (0, 2), (0, 1)]}
    assert forwards == backwards
    assert len(set(forwards.values())) == 3


def test_another_process_draws_the_same_bytes() -> None:
    code = (
        "import hashlib; from cxrlens.data.phantom import render, PhantomOptions as O;"
        "print(hashlib.sha256(render(5, 2, O(size=96)).pixels.tobytes()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == hashlib.sha256(render(5, 2, SMALL).pixels.tobytes()).hexdigest()


def test_another_population_seed_draws_other_patients() -> None:
    assert digest(render(0, 1, SMALL)) != digest(render(0, 1, PhantomOptions(size=96, seed=1)))


def test_pixels_are_float32_in_steps_of_a_255th_and_the_longer_side_is_the_size() -> None:
    for patient in range(4):
        image = render(patient, 1, SMALL)
        assert image.pixels.dtype == np.float32 and image.pixels.ndim == 3 and max(image.pixels.shape) == 96
        assert image.pixels.min() >= 0 and image.pixels.max() <= 1
        np.testing.assert_allclose(image.pixels * 255, np.round(image.pixels * 255), atol=1e-4)
        for mask in (image.lungs, image.finding, image.marker, image.text):
            assert mask.dtype == bool and mask.shape == image.pixels.shape[1:]


def test_the_lungs_are_two_darker_fields_of_plausible_size() -> None:
    for patient in range(5):
        image = render(patient, 1, SMALL)
        labelled, _ = ndimage.label(image.lungs)
        sizes = np.sort(np.bincount(labelled.ravel())[1:])[::-1]
        assert sizes[:2].sum() > 0.95 * image.lungs.sum()
        assert 0.12 < image.lungs.mean() < 0.55
        middle = ndimage.binary_dilation(image.lungs, iterations=3) & ~image.lungs
        assert image.pixels[0][image.lungs].mean() < image.pixels[0][middle].mean()


@pytest.mark.parametrize("name", [POSITIVE, *NEGATIVES])
def test_a_finding_changes_its_mask_and_hardly_anything_else(name: str) -> None:
    options = PhantomOptions(size=128)
    patient = with_finding(name, options)
    ill, healthy = render(patient, 1, options), render(patient, 1, options.model_copy(update={"strength": 0.0}))
    change = (ill.pixels - healthy.pixels)[0]
    assert ill.finding.any() and not healthy.finding.any()
    assert change[ill.finding].mean() > 0.02  # opacity is brighter
    far = ~ndimage.binary_dilation(ill.finding, iterations=6)
    assert np.abs(change[far]).mean() < 0.15 * np.abs(change[ill.finding]).mean()
    assert np.array_equal(ill.lungs, healthy.lungs) and np.array_equal(ill.text, healthy.text)


def test_findings_lie_in_the_lungs_and_those_of_positives_on_both_sides_and_to_the_outside() -> None:
    options = PhantomOptions(size=96, prevalence=1.0)
    shares, outer = [], []
    for patient in range(8):
        image = render(patient, 1, options)
        shares.append((image.finding & image.lungs).sum() / image.finding.sum())
        labelled, _ = ndimage.label(image.lungs)
        largest = np.argsort(np.bincount(labelled.ravel())[1:])[-2:] + 1
        assert all((image.finding & (labelled == side)).any() for side in largest)
        columns = np.abs(np.nonzero(image.finding)[1] - np.nonzero(image.lungs)[1].mean())
        outer.append(columns.mean() / np.abs(np.nonzero(image.lungs)[1] - np.nonzero(image.lungs)[1].mean()).mean())
    assert np.mean(shares) > 0.8
    assert np.mean(outer) > 1.05


def test_a_stronger_finding_is_denser() -> None:
    patient = with_finding(POSITIVE, SMALL)
    drawn = [render(patient, 1, SMALL.model_copy(update={"strength": s})) for s in (0.0, 0.5, 1.0, 2.0)]
    where = drawn[2].finding
    means = [image.pixels[0][where].mean() for image in drawn]
    assert all(after > before + 0.01 for before, after in itertools.pairwise(means))


def test_the_marker_mask_is_exactly_where_the_planted_marker_changes_pixels() -> None:
    always = PhantomOptions(size=96, marker_positive=1.0, marker_negative=1.0)
    for patient in range(4):
        marked, plain = render(patient, 1, always), render(patient, 1, SMALL)
        assert marked.marker.any() and not plain.marker.any()
        np.testing.assert_array_equal(marked.marker, (marked.pixels != plain.pixels)[0])
        assert not (marked.marker & marked.text).any()


def test_marker_rates_by_class_are_as_set() -> None:
    options = PhantomOptions(marker_positive=0.8, marker_negative=0.1)
    facts = [draw_facts(patient, 1, options) for patient in range(1500)]
    rate = {label: np.mean([f.planted for f in facts if f.label == label]) for label in (0, 1)}
    assert rate[1] == pytest.approx(0.8, abs=0.05) and rate[0] == pytest.approx(0.1, abs=0.04)
    assert not any(draw_facts(patient, 1, SMALL).planted for patient in range(100))


def test_prevalence_and_the_share_of_other_findings_are_as_set() -> None:
    options = PhantomOptions(prevalence=0.3, negative_findings=0.6)
    findings = pd.Series([draw_facts(patient, 1, options).finding for patient in range(1500)])
    assert (findings == POSITIVE).mean() == pytest.approx(0.3, abs=0.04)
    negative = findings[findings != POSITIVE]
    assert (negative != NO_FINDING).mean() == pytest.approx(0.6, abs=0.05)
    assert set(negative) == {NO_FINDING, *NEGATIVES}


def test_a_patient_stays_the_same_and_the_images_differ() -> None:
    for patient in range(5):
        facts = [draw_facts(patient, image, SMALL) for image in (1, 2, 3, 4)]
        assert len({(f.sex, f.age, f.site, f.finding, f.label) for f in facts}) == 1
        assert [f.date for f in facts] == sorted({f.date for f in facts})
    first, second, other = (render(*seeds, SMALL).lungs for seeds in ((2, 1), (2, 2), (2, 3)))
    assert not np.array_equal(first, second) and not np.array_equal(second, other)


def test_the_build_that_is_drawn_is_the_patients_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[object] = []
    real = make_chest
    monkeypatch.setattr(
        "cxrlens.data.phantom.phantom.make_chest",
        lambda grid, body, *rest: (drawn.append(body), real(grid, body, *rest))[1],
    )
    for image in (1, 2):
        render(2, image, SMALL)
    render(3, 1, SMALL)
    assert drawn[0] == drawn[1] != drawn[2]


def test_at_strength_0_nothing_but_the_label_tells_the_classes_apart() -> None:
    healthy = {p: digest(render(p, 1, PhantomOptions(size=64, strength=0.0, prevalence=0.0))) for p in range(4)}
    ill = {p: digest(render(p, 1, PhantomOptions(size=64, strength=0.0, prevalence=1.0))) for p in range(4)}
    assert healthy == ill  # the very same bytes: label, anatomy, exposure and letters come from separate streams
    facts = pd.DataFrame([vars(draw_facts(p, 1, SMALL)) for p in range(3000)])
    groups = facts.groupby("label")
    assert groups["age"].mean().diff().abs().max() < 2.0
    for column in ("view", "site", "sex"):
        shares = pd.crosstab(facts["label"], facts[column], normalize="index")
        assert (shares.loc[0] - shares.loc[1]).abs().max() < 0.06
    assert abs(pd.to_datetime(facts["date"]).groupby(facts["label"]).mean().diff().iloc[-1].days) < 25


def test_the_cohort_is_listed_without_drawing_and_read_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCES["phantom"](size=64, patients=30, images_per_patient=(2, 3))
    assert isinstance(source, Phantom) and not source.needs_data_dir
    with monkeypatch.context() as patched:
        patched.setattr(phantom_module, "render", lambda *_: pytest.fail("drawn"))
        cohort = source.cohort(None)
    assert cohort.table["patient"].nunique() == 30
    assert set(cohort.table.groupby("patient").size()) == {2, 3}
    assert set(cohort.table["label"]) == {0.0, 1.0} and set(cohort.table["license"]) == {"CC0 (synthetic)"}
    row = cohort.table.iloc[4]
    decoded, truth = cohort.read(row["path"]), source.truth(row["path"])
    np.testing.assert_array_equal(decoded.pixels, truth.pixels)
    assert truth.facts.label == row["label"] and truth.facts.view == row["view"] and len(decoded.sha256) == 64
    assert decoded.sha256 == cohort.read(row["path"]).sha256


def test_another_size_and_the_lungs_of_an_image_need_no_second_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []

    def counted(*arguments: Any) -> PhantomImage:
        rendered.append(arguments)
        return render(*arguments)

    monkeypatch.setattr(phantom_module, "render", counted)
    source, truths = (
        Phantom(size=80, seed=77, patients=3),
        [render(n, 1, PhantomOptions(size=80, seed=77)) for n in range(3)],
    )
    paths = [f"phantom:{number}/1" for number in range(3)]
    for _ in range(2):
        for path, truth in zip(paths, truths, strict=True):
            decoded = source.read(path)
            assert decoded.pixels.dtype == truth.pixels.dtype and decoded.pixels.tobytes() == truth.pixels.tobytes()
            decoded.pixels[:] = 0  # what a caller does with its copy
            np.testing.assert_array_equal(source.lungs(path), truth.lungs)
    assert len(rendered) == 3
    Phantom(size=80, seed=78, patients=3).read(paths[0])
    assert len(rendered) == 4, "another population"


@pytest.mark.parametrize("cell", ["phantom:3", "images/a.png", "phantom:-1/2", ""])
def test_a_cell_that_names_no_phantom_says_what_one_looks_like(cell: str) -> None:
    with pytest.raises(UserError, match="phantom:3/1"):
        Phantom().read(cell)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"prevalance": 0.5}, "did you mean 'prevalence'"),
        ({"marker_positive": 1.5}, "marker_positive"),
        ({"images_per_patient": (3, 1)}, "smallest number of images first"),
        ({"strength": float("nan")}, "strength"),
        ({"sites": 7}, "sites"),
    ],
)
def test_an_option_that_cannot_be_is_named(raw: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(Phantom, raw, "[data]")


def test_an_export_holds_the_same_pixels_masks_and_table(tmp_path: Path) -> None:
    source = Phantom(size=64, patients=4, images_per_patient=(1, 2), marker_positive=1.0)
    names = list(source.export(tmp_path))
    table = pd.read_csv(tmp_path / "cohort.csv")
    assert table["image"].tolist() == names == source.cohort().images
    for name, cell, path in zip(names, source.cohort().table["path"], table["path"], strict=True):
        truth = source.truth(cell)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / path)), np.round(truth.pixels[0] * 255))
        for part in ("lungs", "finding", "marker"):
            np.testing.assert_array_equal(
                np.asarray(Image.open(tmp_path / "masks" / part / name)) > 0, getattr(truth, part)
            )
    assert not list(tmp_path.rglob("*.part"))


def test_an_export_into_a_file_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken"):
        list(Phantom(size=64, patients=1).export(tmp_path / "taken"))


def test_an_export_does_not_mix_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        list(Phantom(size=64, patients=1).export(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_splat_keeps_the_mass_and_the_edge_takes_only_its_share() -> None:
    grid = make_grid((40, 60), Pose(1.0, (0.0, 0.0), 0.0, 0.0, 0.0))
    inside = np.array([[0.0, 12.0, 3.0], [4.3, 10.1, -2.0]])
    assert splat(grid, inside, np.array([2.0, 1.0])).sum() / grid.scale**2 == pytest.approx(3.0, rel=1e-5)
    for at in (DESIGN_WIDTH / 2, -DESIGN_WIDTH / 2):
        for step in (-1e-9, 0.0, 1e-9):
            edge = splat(grid, np.array([[at + step, 12.5, 0.0]]), np.array([1.0]))
            assert edge.sum() / grid.scale**2 == pytest.approx(0.5, abs=1e-3)
    beyond = (0.5 - 1e-9) / grid.scale  # half a pixel further the edge has no share, whatever the rounding
    assert splat(grid, np.array([[DESIGN_WIDTH / 2 + beyond, 12.5, 0.0]]), np.array([1.0])).sum() < 1e-3


def test_upsampling_keeps_a_constant_and_a_ramp() -> None:
    np.testing.assert_allclose(upsample(np.full((5, 6), 3, np.float32), (20, 31)), 3, rtol=1e-5)
    ramp = upsample(np.tile(np.arange(8, dtype=np.float32), (4, 1)), (4, 50))
    np.testing.assert_allclose(np.diff(ramp[0]), 5 / 50, rtol=1e-3)


def test_a_cloud_has_mean_about_0_and_deviation_about_1() -> None:
    fields = np.stack([cloud(np.random.default_rng(seed), (64, 48)) for seed in range(60)])
    assert abs(fields.mean()) < 0.1 and fields.std() == pytest.approx(1, abs=0.15)
