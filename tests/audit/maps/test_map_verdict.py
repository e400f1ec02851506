"""Trusted, not trusted, undecided, each with its reasons."""

from __future__ import annotations

import numpy as np
import pytest

from cxrlens.audit.maps.enrichment import AgainstBaseline, Enrichment
from cxrlens.audit.maps.faithfulness import Faithfulness, Kind
from cxrlens.audit.maps.sanity import AtDepth, Sanity
from cxrlens.audit.maps.similarity import MEASURES, Agreement
from cxrlens.audit.maps.verdict import map_verdict
from cxrlens.evaluate.cluster_means import MeanEstimate


def estimate(mean: float, reach: float = 0.02, images: int = 9) -> MeanEstimate:
    return MeanEstimate(mean, mean - reach, mean + reach, 0.5, 0.0, 0.95, images, images)


def check(excess: float, reach: float = 0.02) -> Sanity:
    def every(mean: float) -> dict[str, MeanEstimate]:
        return {name: estimate(mean, reach) for name in MEASURES}

    depths = tuple(AtDepth(name, 8, every(excess + 0.1), every(0.1), every(excess)) for name in ("the head", "conv1"))
    return Sanity("saliency", depths, 0, every(0.3), 0.1, 9)


def order(kind: Kind, gain: float, images: int = 9) -> Faithfulness:
    line = np.linspace(0, 1, 3)
    area = estimate(1.0)
    return Faithfulness(kind, line, line, line, area, estimate(1.0 + gain), estimate(gain, images=images), 0, 8)


@pytest.mark.parametrize(
    ("sane", "orders", "trusted"),
    [
        (check(0.0), [order("deletion", 0.5), order("insertion", 0.0)], True),
        (check(0.0), [order("deletion", 0.0), order("road", 0.5)], True),
        (check(0.0), [order("deletion", 0.5), order("road", -0.5)], False),
        (check(0.4), [order("deletion", 0.5)], False),
        (check(0.1), [order("deletion", 0.5)], None),
        (check(0.0), [order("deletion", 0.0)], None),
        (check(0.0), [], None),
        (None, [order("deletion", 0.5)], None),
        (None, [order("deletion", -0.5)], False),
        (check(0.4), [], False),
        (check(0.0), [order("deletion", np.nan, images=0)], None),
    ],
)
def test_the_check_must_pass_and_the_order_beat_chance(
    sane: Sanity | None, orders: list[Faithfulness], trusted: bool | None
) -> None:
    result = map_verdict(sane, orders)
    assert result.trusted is trusted
    assert len(result.reasons) == 1 + max(1, len(orders))
    assert all(each[0].isupper() and each.endswith(".") for each in result.reasons)


def test_each_criterion_is_named_with_its_numbers() -> None:
    reasons = map_verdict(check(0.4), [order("deletion", 0.5), order("insertion", -0.5), order("road", 0.0)]).reasons
    assert reasons[0].startswith("Failed") and "0.4 [0.38, 0.42]" in reasons[0] and "8 random networks" in reasons[0]
    assert reasons[1].startswith("Passed: by Deletion") and "0.5 [0.48, 0.52]" in reasons[1]
    assert reasons[2].startswith("Failed: by Insertion") and "worse than a random one" in reasons[2]
    assert reasons[3].startswith("Undecided: by ROAD")
    assert map_verdict(check(0.0), []).reasons[0].startswith("Passed")


@pytest.mark.parametrize("mean", [0.2, 5.0])
def test_enrichment_and_agreement_are_told_and_decide_nothing(mean: float) -> None:
    enriched = Enrichment(estimate(mean), (AgainstBaseline("uniform", 1.0, estimate(mean - 1)),), 0.5, 0.4, 0, 0)
    alike = Agreement("ssim_absolute", estimate(mean / 10), estimate(0.0), 3)
    orders = [order("deletion", 0.5)]
    result = map_verdict(check(0.0), orders, enriched, alike, alike)
    assert result.trusted is map_verdict(check(0.0), orders).trusted
    output = " ".join(result.reasons[2:])
    assert output.count("no criterion") == 3 and "Repeatability over 3 seeds" in output
    assert "Reproducibility over 3 models" in output and "a faithful map of a shortcut lies outside the lungs" in output
    assert f"{mean:.3g} [" in output
