"""Lung enrichment and its baselines."""

from __future__ import annotations

import numpy as np
import pytest

from cxrlens.audit.maps.enrichment import BASELINES, Enrichment, baseline_maps, enrichment, lung_enrichment
from cxrlens.audit.maps.sample import partners
from cxrlens.errors import UserError

N, SIDE = 12, 24


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def lungs(count: int = N) -> np.ndarray:
    """Two columns of 5 × 14 pixels each."""
    result = np.zeros((count, SIDE, SIDE), bool)
    result[:, 5:19, 4:9] = result[:, 5:19, 15:20] = True
    return result


def images(count: int = N) -> np.ndarray:
    return rng(1).random((count, SIDE, SIDE))


def judged(evidence: np.ndarray, where: np.ndarray | None = None) -> Enrichment:
    given = lungs(len(evidence)) if where is None else where
    return lung_enrichment(evidence, images(len(evidence)), given, np.arange(len(evidence)), rng())


def test_enrichment_by_hand() -> None:
    evidence = np.array([[[3.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 2.0]]])
    where = np.array([[[True, False, False, False]], [[True, True, False, False]]])
    assert enrichment(evidence, where).tolist() == [3.0, 0.0]
    assert enrichment(evidence * 7, where).tolist() == [3.0, 0.0], "the logit's unit does not count"


def test_no_evidence_is_not_0_and_unknown_lungs_are_unknown() -> None:
    evidence, where = np.ones((2, SIDE, SIDE)), lungs(2)
    evidence[0], where[1] = 0, False
    assert np.isnan(enrichment(evidence, where)).all()


def test_a_uniform_map_has_an_enrichment_of_1_and_the_baseline_of_that_name_is_one() -> None:
    result = judged(np.full((N, SIDE, SIDE), 0.3))
    uniform = result.baselines[0]
    assert result.enrichment.mean == pytest.approx(1) and result.mass_inside == pytest.approx(result.lung_area)
    assert uniform.baseline == "uniform" and uniform.mean == pytest.approx(1)
    assert uniform.difference.mean == pytest.approx(0, abs=1e-12)


def test_maps_of_the_lungs_lie_there_more_than_every_baseline_that_knows_no_lungs() -> None:
    result = judged(lungs() * rng(2).random((N, SIDE, SIDE)))
    assert result.enrichment.mean == pytest.approx(SIDE**2 / 140)
    assert result.lung_area == pytest.approx(140 / SIDE**2) and result.mass_inside == pytest.approx(1)
    above = {each.baseline: each.above for each in result.baselines}
    assert above == {"uniform": True, "centred Gaussian": True, "edges": True, "another image's map": False}


def test_a_centred_blob_scores_above_1_but_not_above_the_gaussian() -> None:
    centred = np.zeros((N, SIDE, SIDE), bool)
    centred[:, 4:20, 4:20] = True
    blob = np.hypot(*np.meshgrid(np.arange(SIDE) - 11.5, np.arange(SIDE) - 11.5)) < 12
    result = judged(np.repeat(blob[None].astype(float), N, 0), centred)
    by_name = {each.baseline: each for each in result.baselines}
    assert result.enrichment.low > 1 and by_name["uniform"].above
    assert by_name["centred Gaussian"].below and by_name["centred Gaussian"].mean > 1


def test_maps_of_the_rim_lie_in_the_lungs_less_than_every_baseline() -> None:
    result = judged((~lungs()).astype(float) + 0.01)
    assert all(each.below for each in result.baselines if each.baseline != "another image's map")


def test_the_edges_are_those_of_the_image() -> None:
    given = np.zeros((2, SIDE, SIDE), np.float32)
    given[:, 8:16, 8:16] = 1
    edges = baseline_maps(np.ones(given.shape), given, np.arange(2), rng())["edges"]
    assert edges[0, 7:9, 10].min() > 0 and edges[0, 12, 12] == 0 and edges[0, 2, 2] == 0
    assert tuple(baseline_maps(np.ones(given.shape), given, np.arange(2), rng())) == BASELINES


def test_the_other_map_is_one_of_another_image_as_it_is() -> None:
    evidence = rng(2).random((N, SIDE, SIDE))
    given = baseline_maps(evidence, images(), np.arange(N), rng())["another image's map"]
    whose = [next(number for number in range(N) if (evidence[number] == each).all()) for each in given]
    assert sorted(whose) == list(range(N)) and (np.array(whose) != np.arange(N)).all()


def test_images_without_evidence_or_lungs_are_left_out_and_counted() -> None:
    evidence, where = rng(2).random((N, SIDE, SIDE)), lungs()
    evidence[:3], where[2:4] = 0, False
    result = judged(evidence, where)
    assert (result.without_evidence, result.without_lungs, result.enrichment.images) == (2, 2, 8)
    assert {each.difference.images for each in result.baselines} == {8}
    assert result.enrichment.mean == pytest.approx(enrichment(evidence[4:], where[4:]).mean())


@pytest.mark.parametrize("sizes", [[1] * 9, [3, 3, 3], [4, 1, 1, 1, 1], [2, 5, 1, 2]])
def test_every_image_gets_another_patients_map_and_each_map_is_used_once(sizes: list[int]) -> None:
    patients = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(20):
        other = partners(patients, rng(seed))
        assert sorted(other) == list(range(len(patients)))
        assert (patients[other] != patients).all()
    assert len({tuple(partners(patients, rng(seed))) for seed in range(20)}) > 5


def test_where_a_patient_has_most_images_it_is_still_another_image() -> None:
    for patients in (np.zeros(5), np.array([0, 0, 0, 0, 1])):
        for seed in range(20):
            assert (partners(patients, rng(seed)) != np.arange(5)).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="the same shape"):
        lung_enrichment(np.ones((2, 4, 4)), np.ones((2, 4, 5)), np.ones((2, 4, 4), bool), np.arange(2), rng())
    with pytest.raises(UserError, match="not negative"):
        judged(-np.ones((N, SIDE, SIDE)))
    with pytest.raises(UserError, match="not negative"):
        judged(np.full((N, SIDE, SIDE), np.nan))
    with pytest.raises(UserError, match="at least 2 images with evidence and known lungs; got 0"):
        judged(np.zeros((N, SIDE, SIDE)))
