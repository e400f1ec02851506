"""Corners, text, border and lungs, asked of networks that read one known place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cxrlens.audit.base import AuditResult
from cxrlens.audit.case import ModelCase
from cxrlens.audit.lungs.regions import Lungs
from cxrlens.audit.masking import border, corners
from cxrlens.audit.probes import PROBES
from cxrlens.data.phantom.markers import plant
from support.network_cases import (
    CENTRE,
    CORNER,
    SIZE,
    asked,
    brightened,
    half,
    lungs,
    mean_of,
    network,
    network_case,
    noise,
    one,
)

COUNT = 160
LABELS = half(COUNT)


@pytest.fixture(scope="module")
def corner_reader() -> ModelCase:
    return network_case(mean_of(CORNER), brightened(noise(COUNT), CORNER, LABELS), LABELS)


@pytest.fixture(scope="module")
def centre_reader() -> ModelCase:
    return network_case(mean_of(CENTRE), brightened(noise(COUNT), CENTRE, LABELS), LABELS)


@pytest.fixture(scope="module")
def lettered() -> tuple[np.ndarray, np.ndarray]:
    """60 images of 128 pixels, a marker on most of the positive ones, and where."""
    greys, labels, rng = noise(60, side=128) * 0.8, half(60), np.random.default_rng(0)
    for row in np.flatnonzero(labels)[4:]:
        plant(greys[row], rng)
    return greys, labels


def bright_upper_left() -> object:
    return network(lambda grey: (grey[:, :12, :44] - 0.6).relu().mean((1, 2))[:, None])


def test_a_corner_reader_loses_its_auc_with_the_corners(corner_reader: ModelCase) -> None:
    result = one("corners", corner_reader)
    assert result.verdict == "flag" and result.low > 0.2
    assert result.evidence["auc"] > 0.9 and abs(result.evidence["auc_after"] - 0.5) < 0.15
    assert result.value == pytest.approx(result.evidence["auc"] - result.evidence["auc_after"], abs=1e-9)
    assert result.evidence["images_changed"] == result.evidence["images"] == COUNT
    assert result.evidence["mean_logit_change_positive"] < result.evidence["mean_logit_change_negative"]


def test_a_reader_of_the_centre_does_not_mind_them(centre_reader: ModelCase) -> None:
    result = one("corners", centre_reader)
    assert result.value == 0 and result.verdict == "clear"
    assert -0.02 < result.low < 0 < result.high < 0.02  # another patient's corners might have counted


@pytest.mark.parametrize(
    "turn", [lambda a: a, lambda a: a[:, ::-1], lambda a: a[:, :, ::-1], lambda a: a[:, ::-1, ::-1]]
)
def test_all_four_corners_are_filled(turn: object) -> None:
    greys = turn(brightened(noise(60), CORNER, half(60))).copy()
    rows = slice(None, 9) if greys[half(60), :9].std(0).mean() > greys[half(60), -9:].std(0).mean() else slice(-9, None)
    columns = slice(None, 18) if greys[:, rows, :18].std() > greys[:, rows, -18:].std() else slice(-18, None)
    assert one("corners", network_case(mean_of((rows, columns)), greys, half(60))).verdict == "flag"


def test_a_corner_is_as_large_as_the_study_says(corner_reader: ModelCase) -> None:
    assert one("corners", corner_reader, width=0.02, height=0.02).verdict != "flag"


def test_images_whose_logit_moved_most_are_named(corner_reader: ModelCase) -> None:
    strong = corner_reader.pixels.clone()
    strong[17, :, CORNER[0], CORNER[1]] = 1.0
    with torch.inference_mode():
        logits = corner_reader.model(strong).double().numpy()
    result = one("corners", replace(corner_reader, pixels=strong, logits=logits))
    first = result.evidence["look_at"][0]
    assert (first["image"], first["label"]) == ("v17", 1) and len(result.evidence["look_at"]) == 4
    assert first["before"] == pytest.approx(logits[17]) and first["after"] < first["before"]


def test_the_border_alone_answers_for_a_corner_reader_and_not_for_one_of_the_centre(
    corner_reader: ModelCase, centre_reader: ModelCase
) -> None:
    result, other = one("border_only", corner_reader), one("border_only", centre_reader)
    assert result.verdict == "flag" and result.value > 0.9 and result.evidence["lost"] == pytest.approx(0, abs=1e-6)
    assert other.value == 0.5 and other.verdict != "flag" and other.evidence["auc"] > 0.9


def test_what_of_the_lungs_reaches_into_the_border_is_no_border(corner_reader: ModelCase) -> None:
    wide = lungs(COUNT, (slice(0, 44), slice(0, 44)))
    assert one("border_only", replace(corner_reader, lungs=wide)).value == 0.5
    some = Lungs(wide.masks, np.arange(COUNT) > 0, "masks")  # of one nobody knows: the cut would tell which
    assert one("border_only", replace(corner_reader, lungs=some)).value > 0.9


def test_without_lungs_a_corner_reader_still_knows_and_a_lung_reader_is_lost(
    corner_reader: ModelCase, centre_reader: ModelCase
) -> None:
    result, other = one("lungs_removed", corner_reader), one("lungs_removed", centre_reader)
    assert result.verdict == "flag" and result.value == pytest.approx(result.evidence["auc"])
    assert other.value == 0.5 and other.verdict != "flag" and other.evidence["lost"] > 0.4


def test_lungs_where_the_corner_is_leave_a_corner_reader_nothing(corner_reader: ModelCase) -> None:
    assert one("lungs_removed", replace(corner_reader, lungs=lungs(COUNT, CORNER))).value == 0.5


def test_the_lungs_alone_are_enough_for_a_lung_reader_and_are_never_flagged(
    corner_reader: ModelCase, centre_reader: ModelCase
) -> None:
    result, other = one("lungs_only", centre_reader), one("lungs_only", corner_reader)
    assert result.verdict == "clear" and result.value == pytest.approx(result.evidence["auc"])
    assert other.verdict == "undecided" and other.value == 0.5
    assert result.bar is None and other.bar is None
    against = replace(centre_reader, labels=~centre_reader.labels)
    assert one("lungs_only", against).verdict == "undecided"


def test_only_images_whose_lungs_are_known_are_asked(centre_reader: ModelCase) -> None:
    known = np.arange(COUNT) < 100
    some = replace(centre_reader, lungs=replace(lungs(COUNT), known=known))
    for name in ("lungs_removed", "lungs_only"):
        result = one(name, some)
        assert result.evidence["images"] == 100 and result.evidence["positive"] == 50
        assert result.evidence["lungs"] == "masks" and "100 whole images (50 positive, 50 negative)" in result.sentence


@pytest.mark.parametrize("name", ["lungs_removed", "lungs_only", "border_only"])
def test_a_hole_is_the_same_grey_in_every_image_and_the_rest_is_untouched(centre_reader: ModelCase, name: str) -> None:
    hole = {"lungs_removed": centre_reader.lungs.masks, "lungs_only": ~centre_reader.lungs.masks}.get(
        name, np.broadcast_to(~(border(SIZE, 0.06) | corners(SIZE, 0.3, 0.15)), (COUNT, SIZE, SIZE))
    )
    rows = np.array([3, 8, 150])
    altered = PROBES[name]().altered(centre_reader, rows)[:, 0].numpy()
    np.testing.assert_allclose(altered[hole[rows]], float(centre_reader.pixels.mean()), rtol=1e-6)
    np.testing.assert_array_equal(altered[~hole[rows]], centre_reader.pixels[rows, 0].numpy()[~hole[rows]])
    assert one(name, centre_reader).evidence["share_changed"] == pytest.approx(hole[0].mean(), abs=0.001)


def test_of_what_is_left_over_the_surest_right_answers_are_shown_of_both_classes(corner_reader: ModelCase) -> None:
    shown = one("border_only", corner_reader).evidence["look_at"]
    assert [each["label"] for each in shown] == [1, 1, 0, 0]
    order = np.argsort(corner_reader.logits)  # of this reader the border alone gives the same logits
    named = [int(each["image"][1:]) for each in shown]
    assert set(named) == {*order[LABELS[order]][-2:], *order[~LABELS[order]][:2]}
    assert [each["before"] for each in shown] == pytest.approx(corner_reader.logits[named].tolist())


def test_a_reader_of_letters_is_flagged_and_what_it_read_is_named(lettered: tuple[np.ndarray, np.ndarray]) -> None:
    greys, labels = lettered
    result = one("text", network_case(bright_upper_left(), greys, labels))
    assert result.verdict == "flag" and result.value > 0.3
    assert result.evidence["images_changed"] == labels.sum() - 4
    assert all(each["label"] == 1 for each in result.evidence["look_at"])


def test_letters_that_the_network_does_not_read_are_silent(lettered: tuple[np.ndarray, np.ndarray]) -> None:
    greys, labels = lettered
    greys = brightened(greys, (slice(60, 80), slice(60, 80)), labels)
    result = one("text", network_case(mean_of((slice(60, 80), slice(60, 80))), greys, labels))
    assert result.verdict == "clear" and result.value == 0 and result.evidence["images_changed"] > 0


def test_a_corner_reader_without_letters_is_no_matter_of_text(corner_reader: ModelCase) -> None:
    result = one("text", corner_reader)
    assert result.verdict != "flag" and abs(result.value) < 0.05


def test_several_questions_of_one_network_are_corrected_together(corner_reader: ModelCase) -> None:
    def bars(name: str) -> list[str]:
        return [each.bar.family for each in asked(name, corner_reader) if each.bar]

    result: list[AuditResult] = [
        one(name, corner_reader) for name in ("corners", "text", "border_only", "lungs_removed")
    ]
    assert len({family for each in result for family in bars(each.probe)}) == 1
