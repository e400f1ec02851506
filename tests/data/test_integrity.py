"""Duplicates, patients under two ids, and columns that tell the label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from cxrlens.audit.associations import associations
from cxrlens.data.cache import ImageCache
from cxrlens.data.cohort import cohort_table
from cxrlens.data.duplicates import SAME, Duplicates, Pair, find_duplicates, merge_groups, near_pairs
from cxrlens.data.registration import Comparer, shrink

SIDE = 224
TWO_IDS = ["78", "201", "97", "178", "192", "196", "137", "202", "193", "195"]


def chest(seed: int, side: int = 280) -> np.ndarray:
    """A made-up image with the same coarse shape for every seed and its own fine detail: float in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    lungs = np.exp(-((np.abs(x) - 0.45) ** 2 / 0.05 + (y + 0.05) ** 2 / 0.35))
    ribs = 0.12 * np.cos(22 * y + 3 * x**2) * lungs
    detail = sum(ndimage.gaussian_filter(rng.normal(size=(side, side)), width) * width for width in (1.5, 3, 6))
    return np.clip(0.75 - 0.5 * lungs + ribs + 0.02 * np.asarray(detail), 0, 1)


def as_square(image: np.ndarray) -> np.ndarray:
    grey = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def annotated(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[10:30, 10:60] = 1.0
    return image


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "the same": lambda image: image,
    "cropped": lambda image: image[10:270, 12:274],
    "cropped on one side": lambda image: image[:, 22:],
    "another window": lambda image: np.clip(1.6 * image - 0.35, 0, 1),
    "another gamma": lambda image: image**2.2,
    "annotated": annotated,
    "smaller": lambda image: ndimage.zoom(image, 0.6),
}


def search(images: list[np.ndarray], patients: list[str] | None = None, sha: list[str] | None = None) -> Duplicates:
    names = [f"{number}.png" for number in range(len(images))]
    table = cohort_table(pd.DataFrame({"image": names, "patient": patients or names, "label": 1.0}))
    return find_duplicates(table, cache_of(names, np.stack([as_square(image) for image in images]), sha))


def cache_of(names: list[str], pixels: np.ndarray, sha: list[str] | None = None) -> ImageCache:
    facts = pd.DataFrame({"image": names, "sha256": sha or names})
    return ImageCache(cast(np.memmap, pixels), {name: row for row, name in enumerate(names)}, {}, facts)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_told_from_look_alikes(how: str) -> None:
    images = [chest(seed) for seed in range(8)]
    comparer = Comparer(np.stack([as_square(image) for image in [*images, COPIES[how](images[4])]]))
    similarity = comparer.similarity(np.arange(8), np.full(8, 8))
    assert np.flatnonzero(similarity >= SAME).tolist() == [4]
    assert np.delete(similarity, 4).max() < 0.5


@pytest.mark.parametrize("how", ["the same", "another window", "another gamma", "smaller"])
def test_a_copy_under_another_id_is_found(how: str) -> None:
    images = [chest(seed) for seed in range(8)]
    duplicates = search([*images, COPIES[how](images[4])])
    assert [pair.images for pair in duplicates.pairs] == [("4.png", "8.png")]
    assert duplicates.pairs[0].two_ids
    assert not duplicates.pairs[0].identical
    assert duplicates.shortlisted == duplicates.compared


def test_identical_files_are_pairs_whatever_their_number_and_are_compared_once() -> None:
    images = [chest(1), chest(2), chest(1), chest(1)]
    duplicates = search(images, sha=["a", "b", "a", "a"])
    assert [(pair.images, pair.identical, pair.similarity) for pair in duplicates.pairs] == [
        (("0.png", "2.png"), True, 1.0),
        (("2.png", "3.png"), True, 1.0),
    ]


def test_flat_images_and_empty_cohorts_have_no_duplicates_and_no_warnings() -> None:
    flat = np.zeros((3, SIDE, SIDE), dtype=np.uint8)
    assert np.all(Comparer(flat).similarity(np.array([0, 1]), np.array([1, 2])) == 0)
    table = cohort_table(pd.DataFrame({"image": ["a"], "label": [1.0]}))
    assert find_duplicates(table, cache_of([], flat)).pairs == ()


def test_similarity_is_symmetric_and_one_for_an_image_with_itself() -> None:
    pixels = np.stack([as_square(chest(1)), as_square(chest(1)[8:270, 5:260]), as_square(chest(2))])
    comparer = Comparer(pixels)
    there = comparer.similarity(np.array([0, 1, 0]), np.array([1, 2, 0]))
    back = comparer.similarity(np.array([1, 2, 0]), np.array([0, 1, 0]))
    assert there == pytest.approx(back)
    assert there[2] == pytest.approx(1, abs=1e-3)


def test_shrinking_is_the_mean_over_areas() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    assert shrink(pixels, 4)[0] == pytest.approx(pixels[0].reshape(4, 2, 4, 2).mean(axis=(1, 3)))
    assert shrink(pixels, 3).mean() == pytest.approx(31.5, abs=3)
    assert shrink(pixels, 16)[0].tolist() == pixels[0].repeat(2, axis=0).repeat(2, axis=1).tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000), st.integers(5, 40))
def test_near_pairs_are_those_of_a_double_loop(count: int, seed: int, most: int) -> None:
    bits = np.where(np.random.default_rng(seed).random((count, 64)) < 0.3, 1, -1).astype(np.float32)
    all_pairs = [(i, j, int((bits[i] != bits[j]).sum())) for i in range(count) for j in range(i + 1, count)]
    near = [pair for pair in all_pairs if pair[2] <= 24]
    first, second, total = near_pairs(bits, near=24, most=most)
    assert total == len(near)
    assert len(first) == min(most, len(near))
    distance = {(i, j): bits_apart for i, j, bits_apart in near}
    chosen = sorted(distance[pair] for pair in zip(first.tolist(), second.tolist(), strict=True))
    assert chosen == sorted(distance.values())[:most]


def pair(one: str, other: str, labels: tuple[float, float] = (1.0, 1.0)) -> Pair:
    return Pair((f"{one}.png", f"{other}.png"), (one, other), labels, False, 0.9)


def test_patients_who_share_an_image_are_one_group_through_others_too() -> None:
    table = cohort_table(pd.DataFrame({"image": list("abcdef"), "patient": list("pqrstu"), "label": 1.0}))
    groups = merge_groups(table, [pair("t", "q"), pair("q", "r"), pair("s", "s")])
    assert groups == {"p": "p", "q": "q", "r": "q", "s": "s", "t": "q", "u": "u"}


def test_a_pair_labelled_both_ways_is_a_conflict_and_an_unknown_label_is_not() -> None:
    assert pair("a", "b", (1.0, 0.0)).conflict
    assert not pair("a", "b", (1.0, np.nan)).conflict
    assert not pair("a", "b", (0.0, 0.0)).conflict


def aucs(label: np.ndarray, **columns: list[object]) -> dict[str, float]:
    rows = pd.DataFrame({"image": [f"{k}.png" for k in range(len(label))], "label": label, **columns})
    return {one.column: round(one.auc, 6) for one in associations(cohort_table(rows))}


def test_a_column_that_is_the_label_tells_it_and_a_column_by_chance_does_not() -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(300) < 0.5).astype(float)
    auc = aucs(
        label,
        site=["here" if one else "there" for one in label],
        view=rng.choice(["PA", "AP"], 300).tolist(),
        date=["2020-03-01" if one else "5 March 2019" for one in label],
        sex=["M"] * 300,
    )
    assert auc["site"] == auc["year"] == 1.0
    assert 0.4 < auc["view"] < 0.6
    assert "sex" not in auc


def test_a_column_that_names_patients_tells_nothing_across_patients() -> None:
    label = np.repeat(np.tile([0.0, 1.0], 50), 3)
    patients = [str(number) for number in np.repeat(np.arange(100), 3)]
    auc = aucs(label, patient=patients, site=patients)
    assert auc["site"] == 0.5


def test_being_unknown_can_tell_the_label() -> None:
    label = np.tile([0.0, 1.0], 40)
    auc = aucs(label, age=[60.0 if one else np.nan for one in label])
    assert auc["age"] == 1.0


def test_the_later_snapshot_has_nine_pairs_under_two_ids(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "covid-chestxray-2020-08"
    metadata = pd.read_csv(root / "metadata.csv", dtype=str)
    metadata = metadata[
        metadata["patientid"].isin(["78", "201", "97", "178", "192", "196", "137", "202", "193", "195"])
    ]
    metadata = metadata[[(root / "images" / name).is_file() for name in metadata["filename"]]]
    strangers = sorted((root / "images").glob("1-s2.0*"))[:40]
    files = [root / "images" / name for name in metadata["filename"]] + strangers
    patients = metadata["patientid"].tolist() + [file.name for file in strangers]
    pixels = []
    for file in files:
        with Image.open(file) as image:
            pixels.append(np.asarray(image.convert("RGB").convert("L").resize((SIDE, SIDE))))
    names = [file.name for file in files]
    table = cohort_table(pd.DataFrame({"image": names, "patient": patients, "label": 1.0}))
    duplicates = find_duplicates(table, cache_of(names, np.stack(pixels)))
    two_ids = sorted("=".join(sorted(pair.patients)) for pair in duplicates.pairs if pair.two_ids)
    assert two_ids == ["137=202", *["178=97"] * 4, "192=196", "192=196", "193=195", "201=78"]
