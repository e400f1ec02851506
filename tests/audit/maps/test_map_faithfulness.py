"""Deletion, insertion and ROAD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cxrlens.audit.maps.faithfulness import (
    Faithfulness,
    Kind,
    Predict,
    cell_side,
    faithfulness,
    random_order,
    ranks,
    spread,
    summed,
)
from cxrlens.errors import UserError

KNOWN = np.array([[[0.4, 0.3], [0.2, 0.1]]])
KINDS: tuple[Kind, ...] = ("deletion", "insertion", "road")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def total(images: Tensor) -> np.ndarray:
    return images.sum((1, 2, 3)).numpy()


def weighted(images: Tensor) -> np.ndarray:
    """A linear network whose weights fall from the upper left: its evidence is weight times value."""
    return (images[:, 0] * torch.from_numpy(weights())).sum((1, 2)).numpy()


def weights(side: int = 12) -> np.ndarray:
    return np.add.outer(-np.arange(side), -np.arange(side)) / side + 1.0


def images(count: int = 10, side: int = 12) -> np.ndarray:
    return rng(3).random((count, side, side)) + 0.5


def both(
    kind: Kind,
    maps: np.ndarray,
    given: np.ndarray,
    predict: Predict,
    signs: np.ndarray | None = None,
    **options: object,
) -> Faithfulness:
    """Curves in a random order and in the order of the maps; every image is of another patient."""
    random = random_order(kind, given, predict, rng(1), **options)
    return faithfulness(random, maps, given, np.arange(len(maps)), predict, rng(), signs)


def judged(kind: Kind, maps: np.ndarray, signs: np.ndarray | None = None, **options: object) -> Faithfulness:
    return both(kind, maps, images(len(maps)), weighted, signs, steps=6, **options)


def test_the_known_answer() -> None:
    deletion = both("deletion", KNOWN, KNOWN, total, steps=2)
    insertion = both("insertion", KNOWN, KNOWN, total, steps=2)
    assert deletion.share.tolist() == [0, 0.5, 1]
    assert deletion.curve == pytest.approx([1, 0.3, 0], abs=1e-12)
    assert deletion.area.mean == pytest.approx(0.4, abs=1e-12)
    assert insertion.curve == pytest.approx([0, 0.7, 1], abs=1e-12)
    assert insertion.area.mean == pytest.approx(0.6, abs=1e-12)


def test_road_by_hand() -> None:
    """.4 and .3 go first: each is (2 · direct + 2 · direct + diagonal) / 5 of the three others, solved together."""
    result = both("road", KNOWN, KNOWN, total, steps=2, noise=0)
    a, b = np.linalg.solve([[5, -2], [-2, 5]], [2 * 0.2 + 0.1, 2 * 0.1 + 0.2])
    assert result.curve == pytest.approx([1, a + b + 0.3, 1]), (
        "at the end the image is its mean, whose sum is the image's"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_evidence_of_a_linear_network_beats_chance_and_its_opposite_loses(kind: Kind) -> None:
    true = weights() * (images() if kind != "road" else images() - images().mean((1, 2), keepdims=True))
    good, bad = judged(kind, true, noise=0), judged(kind, -true, noise=0)
    assert good.better and not good.worse and good.difference.mean > 0
    assert bad.worse and not bad.better
    signs = -np.ones(10)
    assert judged(kind, -true, noise=0, signs=signs).better, "evidence against the logit, asked as such"
    assert judged(kind, -true, noise=0, signs=signs).curve == pytest.approx(-bad.curve)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_of_noise_is_not_told_from_chance(kind: Kind) -> None:
    verdicts = [judged(kind, rng(seed).random((10, 12, 12))) for seed in range(10, 16)]
    assert sum(each.better or each.worse for each in verdicts) <= 1


def test_curves_begin_and_end_with_all_and_with_the_baseline() -> None:
    deletion, insertion = (judged(kind, images(), baseline=0.25) for kind in ("deletion", "insertion"))
    whole, grey = weighted(torch.from_numpy(images())[:, None]).mean(), 0.25 * weights().sum()
    for result in (deletion.curve, deletion.random_curve):
        assert result[[0, -1]] == pytest.approx([whole, grey])
    assert insertion.curve[[0, -1]] == pytest.approx([grey, whole])
    assert deletion.area.mean + deletion.difference.mean == pytest.approx(deletion.random_area.mean)
    assert insertion.area.mean - insertion.difference.mean == pytest.approx(insertion.random_area.mean)


def test_nothing_is_normalised() -> None:
    one = judged("deletion", images())
    ten = both("deletion", images(), images(), lambda x: 10 * weighted(x), steps=6)
    assert ten.area.mean == pytest.approx(10 * one.area.mean) and ten.difference.low == pytest.approx(
        10 * one.difference.low
    )


def test_images_without_evidence_are_left_out() -> None:
    maps = images()
    maps[:4] = 0
    result = judged("deletion", maps)
    assert result.without_evidence == 4 and result.difference.images == 6
    none = judged("deletion", np.zeros_like(maps))
    assert np.isnan(none.curve).all() and len(none.curve) == 7 and np.isnan(none.area.mean)
    assert not none.better and not none.worse and none.without_evidence == 10


def test_the_network_gets_at_most_16_images_at_once_in_their_own_precision() -> None:
    seen: list[tuple[int, ...]] = []

    def watched(given: Tensor) -> np.ndarray:
        assert given.dtype == torch.float32
        seen.append(tuple(given.shape))
        return total(given)

    single = images(2).astype(np.float32)
    for kind in KINDS:
        both(kind, single, single, watched, steps=40)
    assert {each[0] for each in seen} == {16, 9, 7} and {each[1:] for each in seen} == {(1, 12, 12)}
    assert sum(each[0] for each in seen) == len(KINDS) * 2 * (41 + 39), "whole and empty images are asked once"


def test_cells_are_squares_and_the_last_ones_hold_what_is_left() -> None:
    assert cell_side((224, 224)) == 8 and cell_side((2, 2)) == 1 and cell_side((100, 70)) == 2
    maps = rng().random((2, 10, 7))
    cells = summed(maps, 3)
    assert cells.shape == (2, 4, 3) and cells[1, 3, 2] == pytest.approx(maps[1, 9, 6])
    assert cells[0, 1, 0] == pytest.approx(maps[0, 3:6, :3].sum())
    assert spread(cells, 3, (10, 7)).shape == maps.shape
    assert (spread(cells, 3, (10, 7))[0, 3:6, :3] == cells[0, 1, 0]).all()


def test_cells_go_whole() -> None:
    maps = np.zeros((1, 4, 4))
    maps[0, :2, 2:] = 1
    result = both("deletion", maps, np.ones((1, 4, 4)), total, side=2, steps=4)
    assert result.curve.tolist() == [16, 12, 8, 4, 0] and result.side == 2
    upper = lambda x: x[:, 0, :2, 2:].sum((1, 2)).numpy()  # noqa: E731
    first = both("deletion", maps, np.ones((1, 4, 4)), upper, side=2, steps=4)
    assert first.curve.tolist() == [4, 0, 0, 0, 0]


def test_cells_are_ranked_by_evidence_and_ties_go_by_chance() -> None:
    assert ranks(np.array([[[0.2, 0.9], [-1.0, 0.4]]]), rng()).tolist() == [[[2, 0], [3, 1]]]
    tied = ranks(np.zeros((200, 3, 3)), rng())
    assert (np.sort(tied.reshape(200, 9)) == np.arange(9)).all()
    assert np.abs(tied.mean(0) - 4).max() < 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="known: deletion, insertion, road"):
        judged("erasure", images())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="1 to 4 steps"):
        both("deletion", KNOWN, KNOWN, total)
    with pytest.raises(UserError, match="must be finite"):
        judged("deletion", np.full((10, 12, 12), np.nan))
    with pytest.raises(UserError, match="the same shape"):
        both("deletion", KNOWN, KNOWN[:, :1], total, steps=2)
