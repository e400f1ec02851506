"""Maps for the eye: no evidence looks empty, one scale for many maps, cells where they were seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cxrlens.errors import UserError
from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import DISPLAYS, Attribution, Display, enlarge, min_max, overlay, scaled, shared_scale
from support.hand_set_networks import images, pooled


def record(maps: torch.Tensor, side: int = 8, **fields: object) -> Attribution:
    fields = {"displayed": "positive"} | fields
    return Attribution(maps, "by hand", None, (0,) * len(maps), (side, side), **fields)


@pytest.mark.parametrize("part", ["positive", "magnitude", "signed"])
@pytest.mark.parametrize("name", list(DISPLAYS))
def test_no_evidence_is_the_bare_image_and_never_nan(name: str, part: str) -> None:
    batch = images(2, 8)
    seen = overlay(batch, record(torch.zeros(2, 2, 2), displayed=part), display=replace(DISPLAYS[name], fade=True))
    torch.testing.assert_close(torch.from_numpy(seen), batch[:, 0, :, :, None].expand(-1, -1, -1, 3))
    assert (
        not torch.from_numpy(overlay(batch, record(torch.zeros(2, 2, 2), displayed=part), display=name)).isnan().any()
    )


def test_what_speaks_against_the_target_is_not_drawn_where_the_method_shows_the_positive_part() -> None:
    batch = images(1, 16)
    result = attribute(pooled(sign=-1), batch)
    assert torch.equal(torch.from_numpy(overlay(batch, result)), batch[:, 0, :, :, None].expand(-1, -1, -1, 3))


def test_each_sign_is_shown_as_its_method_shows_it() -> None:
    maps = torch.tensor([[[-2.0, 1.0]]])
    assert record(maps).evidence.tolist() == [[[0.0, 1.0]]]
    assert record(maps, displayed="magnitude").evidence.tolist() == [[[2.0, 1.0]]]
    assert record(maps, displayed="signed").evidence.tolist() == [[[-2.0, 1.0]]]


def test_one_scale_shows_weak_evidence_weak_and_min_max_does_not() -> None:
    maps = torch.stack([torch.eye(4), 0.1 * torch.eye(4)])
    shares = scaled(maps, shared_scale(maps, 100))
    assert shares.amax((1, 2)).tolist() == pytest.approx([1.0, 0.1])
    assert min_max(maps).amax((1, 2)).tolist() == [1.0, 1.0]


def test_the_scale_is_a_percentile_and_a_few_lit_pixels_among_many_still_have_one() -> None:
    maps = torch.arange(1001.0).view(1, 7, 143)
    assert shared_scale(maps, 99) == 990.0
    assert shared_scale(-maps, 99) == 990.0
    sparse = torch.zeros(1, 100, 100)
    sparse[0, 3, 3] = 5.0
    assert shared_scale(sparse) == 5.0 and shared_scale(torch.zeros(1, 4, 4)) == 0.0


def test_min_max_of_a_flat_map_is_nothing() -> None:
    assert not min_max(torch.full((1, 3, 3), 7.0)).any()


def test_bicubic_overshoot_makes_no_negative_evidence() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 1] = 1.0
    assert enlarge(maps, (32, 32)).min() < 0
    assert record(maps, 32).enlarged().min() == 0


def test_a_map_that_lacks_its_rim_lies_where_its_cells_were_seen() -> None:
    """The middle of 5 × 5 cells seen in a 7 × 7 trunk: cell (0, 0) is the trunk's (1, 1), not the image's corner."""
    maps = torch.zeros(1, 5, 5)
    maps[0, 0, 4] = 1.0
    placed, stretched = (record(maps, 70, margin=(1, 1)).enlarged("nearest", margin=each)[0] for each in (True, False))
    assert placed[10:20, 50:60].all() and placed[:10, 60:].all(), "the rim repeats the nearest cell"
    assert placed.sum() == 400 and stretched[:14, 56:].all() and stretched.sum() == 14 * 14
    rows = (record(torch.tensor([[[1.0, 2.0, 3.0]]]), 10, margin=(0, 1))).enlarged("nearest")[0, 0]
    assert rows.tolist() == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]


def test_full_evidence_has_the_full_colour_and_signs_have_two() -> None:
    batch, maps = torch.zeros(1, 1, 8, 8), torch.zeros(1, 8, 8)
    maps[0, 0, 0], maps[0, 7, 7] = 1.0, -1.0
    how = Display(percentile=100, interpolation="nearest", alpha=1.0)
    signed = overlay(batch, record(maps, displayed="signed"), display=how)[0]
    assert signed[0, 0, 0] > signed[0, 0, 2] and signed[7, 7, 2] > signed[7, 7, 0]
    positive = overlay(batch, record(maps), display=how)[0]
    assert positive[0, 0].max() == 1 and not positive[7, 7].any() and not positive[3, 3].any()
    half = overlay(batch, record(maps), display=how, scale=2.0)[0]
    assert 0 < half[0, 0].max() < 0.6


def test_other_images_and_unknown_displays_are_refused() -> None:
    with pytest.raises(UserError, match=r"needs the images that were explained, \[2, 1, 8, 8\]"):
        overlay(images(3, 8), record(torch.zeros(2, 2, 2)))
    with pytest.raises(UserError, match="unknown display 'papre'; did you mean 'paper'"):
        overlay(images(2, 8), record(torch.zeros(2, 2, 2)), display="papre")
