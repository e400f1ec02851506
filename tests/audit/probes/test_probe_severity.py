"""Rank correlation with experts' scores, by hand and beside SciPy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from cxrlens.audit.case import ModelCase
from cxrlens.audit.probes.severity import percentile_interval, two_sided_p
from support.network_cases import asked, mean_of, network_case, noise, one

CORNER = (slice(0, 4), slice(0, 4))


def case(scores: np.ndarray, logits: np.ndarray, negatives: int = 8, **more: object) -> ModelCase:
    """Positives with these scores and logits, then negatives, who are scored too and must not be looked at."""
    labels = np.arange(len(scores) + negatives) < len(scores)
    noisy = np.arange(negatives, dtype=float)
    return network_case(
        mean_of(CORNER), noise(len(labels), side=16), labels, logits=np.concatenate([logits, noisy]),
        severity={"extent": np.concatenate([scores, noisy[::-1]])}, **more,
    )  # fmt: skip


def test_by_hand() -> None:
    result = one("severity", case(np.arange(10.0), np.array([1.0, 0, 3, 2, 5, 4, 7, 6, 9, 8])))
    assert result.value == pytest.approx(1 - 6 * 10 / (10 * 99))  # ten ranks off by one
    assert result.verdict == "clear" and result.evidence == {"images": 10, "patients": 10}
    assert result.statistic == "Spearman correlation with extent"


def test_ties_are_as_scipy_has_them_and_unscored_images_are_left_out() -> None:
    rng = np.random.default_rng(0)
    scores, logits = rng.integers(0, 5, 30).astype(float), rng.standard_normal(30)
    scores[:6] = np.nan
    result = one("severity", case(scores, logits))
    assert result.value == pytest.approx(spearmanr(scores[6:], logits[6:]).statistic)
    assert result.evidence["images"] == 24 and result.low <= result.value <= result.high


def test_a_score_against_the_experts_is_flagged_and_an_open_one_is_not() -> None:
    rng = np.random.default_rng(1)
    against = one("severity", case(np.arange(40.0), -np.arange(40.0) + 5 * rng.standard_normal(40)))
    assert against.verdict == "flag" and against.high < 0
    few = one("severity", case(np.arange(12.0), rng.standard_normal(12)))
    assert few.verdict == "undecided" and few.low < 0.3 < few.high


def test_a_patients_images_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    of = np.repeat(np.arange(8), 6)
    scores, logits = of.astype(float), of + 3 * np.repeat(rng.standard_normal(8), 6)
    alone = one("severity", case(scores, logits, negatives=0))
    together = one("severity", case(scores, logits, negatives=0, patients=[f"p{who}" for who in of]))
    assert together.evidence["patients"] == 8 and together.value == alone.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_too_few_scored_images_and_constant_scores_are_refused() -> None:
    result = one("severity", case(np.arange(9.0), np.arange(9.0)))
    assert np.isnan(result.value) and result.reason == "9 positive validation images have a score; 10 are needed"
    for scores, logits in ((np.full(12, 2.0), np.arange(12.0)), (np.arange(12.0), np.full(12, 2.0))):
        result = one("severity", case(scores, logits))
        assert np.isnan(result.value) and "are equal" in result.reason


def test_each_score_is_a_finding_and_none_is_no_question() -> None:
    given = case(np.arange(10.0), np.arange(10.0))
    both = replace(given, severity={**given.severity, "opacity": -given.severity["extent"]})
    assert [result.statistic[-7:] for result in asked("severity", both)] == [" extent", "opacity"]
    assert asked("severity", replace(given, severity={})) == []


def test_the_interval_leaves_0_outside_exactly_where_p_is_small() -> None:
    generator = np.random.default_rng(4)
    for _ in range(200):
        values = generator.normal(generator.uniform(-3, 3), size=generator.integers(60, 150))
        low, high = percentile_interval(values, 0.9)
        assert (not low <= 0 <= high) == (two_sided_p(values) <= 0.1 + 1e-12)


def test_the_percentile_interval_counts_from_both_ends() -> None:
    values = np.arange(1, 100.0)
    assert percentile_interval(values, 0.9) == pytest.approx((5, 95))
    assert percentile_interval(np.append(values, np.nan), 0.9) == pytest.approx((5, 95))
    assert np.isnan(percentile_interval(values[:10], 0.95)).all()
