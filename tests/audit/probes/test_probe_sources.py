"""Sources, sites and views: what the features hold of them, and what of the AUC is theirs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxrlens.audit.case import ModelCase
from cxrlens.models.classifier import Classifier
from support.network_cases import asked, mean_of, network, network_case, noise, one

COUNT, SIDE = 120, 16


def patches(values: np.ndarray) -> np.ndarray:
    """Images whose k-th 4 × 4 square has the k-th value, [n, k] about 0.5."""
    greys = noise(len(values), side=SIDE)
    for place in range(values.shape[1]):
        top, left = 4 * (place // 4), 4 * (place % 4)
        greys[:, top : top + 4, left : left + 4] = (0.5 + 0.1 * values[:, place])[:, None, None]
    return greys


def squares(count: int) -> Classifier:
    """Its features are the first squares' greys."""
    return network(lambda grey: grey.unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4)).flatten(1)[:, :count], count)


def case(values: np.ndarray, labels: np.ndarray, **more: object) -> ModelCase:
    return network_case(squares(values.shape[1]), patches(values), labels, **more)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def of_source(rng: np.random.Generator, labels: np.ndarray) -> ModelCase:
    """Features that hold the source."""
    source = np.arange(COUNT) % 3 > 0
    values = np.stack([1.5 * source, np.zeros(COUNT)], 1) + rng.standard_normal((COUNT, 2))
    return case(values, labels, columns={"source": np.where(source, "A", "B")})


def test_features_that_hold_a_source_that_tells_the_label_are_flagged(rng: np.random.Generator) -> None:
    source = np.arange(COUNT) % 3 > 0
    labels = rng.random(COUNT) < np.where(source, 0.25, 0.75)
    result = one("source_probe", of_source(rng, labels))
    assert result.verdict == "flag" and 0.75 < result.value < 0.95 and result.low > 0.7
    assert result.statistic == "AUC of predicting source 'A' from the features"
    assert result.evidence["share_of_group"]["positive"] == pytest.approx(source[labels].mean())
    by_itself = 1 - roc_auc_score(labels, source)
    assert result.evidence["label_auc"] == pytest.approx(by_itself) and f"with AUC {by_itself:.2f} [" in result.sentence


def test_a_source_that_tells_no_label_is_no_shortcut(rng: np.random.Generator) -> None:
    result = one("source_probe", of_source(rng, rng.random(COUNT) < 0.5))
    assert result.verdict == "undecided" and result.low > 0.7 and result.p == result.evidence["label_p"]


def test_features_that_do_not_are_not(rng: np.random.Generator) -> None:
    columns = {"source": np.where(np.arange(COUNT) % 3 > 0, "A", "B")}
    result = one("source_probe", case(rng.standard_normal((COUNT, 2)), rng.random(COUNT) < 0.5, columns=columns))
    assert result.verdict != "flag" and result.low < 0.5


def test_a_patient_cannot_be_learned_in_one_fold_and_recognised_in_another(rng: np.random.Generator) -> None:
    who = np.arange(COUNT) // 10
    values = rng.standard_normal((12, 12))[who] * 3  # a patient's own features, which say nothing of the source
    columns = {"source": np.where(who % 2, "A", "B")}
    result = one(
        "source_probe", case(values, rng.random(COUNT) < 0.5, patients=[f"p{one}" for one in who], columns=columns)
    )
    assert result.verdict != "flag"


def test_a_column_with_one_value_is_no_question_and_a_small_group_is_refused(rng: np.random.Generator) -> None:
    labels, values = rng.random(COUNT) < 0.5, rng.standard_normal((COUNT, 2))
    alike = {"source": ["A"] * COUNT, "site": None}
    for name in ("source_probe", "within_source", "leave_one_source_out"):
        assert asked(name, case(values, labels, columns=alike)) == []
    result = one("source_probe", case(values, labels, columns={"site": ["A"] * (COUNT - 7) + ["B"] * 7}))
    assert np.isnan(result.value) and "113 images are of site 'A' and 7 not; 8 of each" in result.reason


def test_a_source_that_is_known_of_one_class_only_is_no_trouble(rng: np.random.Generator) -> None:
    labels = np.arange(COUNT) % 2 == 0
    site = np.where(labels, np.where(np.arange(COUNT) % 3 > 0, "A", "B"), None)
    result = one("source_probe", case(rng.standard_normal((COUNT, 2)), labels, columns={"site": site}))
    assert np.isfinite(result.value) and np.isnan(result.evidence["share_of_group"]["negative"])
    assert "got 60 positive and 0 negative" in result.sentence + result.reason and "nan" not in result.sentence


def of_source_alone(rng: np.random.Generator, share_in_a: float) -> ModelCase:
    """A score that is the source's and says nothing else of the label."""
    source = np.arange(COUNT) % 2 == 0
    labels = rng.random(COUNT) < np.where(source, share_in_a, 1 - share_in_a)
    logits = 2.0 * source + 0.5 * rng.standard_normal(COUNT)
    model = mean_of((slice(0, 4), slice(0, 4)))
    columns = {"source": np.where(source, "A", "B")}
    return network_case(model, noise(COUNT, side=SIDE), labels, logits=logits, columns=columns)


def test_an_auc_that_is_the_sources_is_lost_within_a_source(rng: np.random.Generator) -> None:
    result = one("within_source", of_source_alone(rng, 0.85))
    assert result.verdict == "flag" and result.value > 0.2
    assert result.evidence["auc"] > 0.75 and abs(result.evidence["auc_within"] - 0.5) < 0.15
    assert result.value == pytest.approx(result.evidence["auc"] - result.evidence["auc_within"])


def test_where_sources_do_not_differ_in_labels_nothing_is_lost(rng: np.random.Generator) -> None:
    labels, source = rng.random(COUNT) < 0.5, np.where(np.arange(COUNT) % 2, "A", "B")
    values = np.stack([labels + rng.standard_normal(COUNT)], 1)
    result = one("within_source", case(values, labels, columns={"source": source}))
    assert result.verdict == "clear" and abs(result.value) < 0.03


def test_pairs_are_of_one_group_by_hand() -> None:
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0] * 2, bool)
    source = np.repeat(["A", "B"], 10)
    logits = np.concatenate([np.arange(10.0), np.arange(10.0)[::-1] + 100])
    given = network_case(
        mean_of((slice(0, 4), slice(0, 4))), noise(20, side=SIDE), labels, logits=logits, columns={"source": source}
    )
    result = one("within_source", given)
    assert result.evidence["auc_within"] == 0.5  # 0 of A's 25 pairs are in order, all of B's 25
    assert result.evidence["auc"] == 0.5 and (result.evidence["groups"], result.evidence["images"]) == (2, 20)


def test_groups_of_one_class_are_in_no_pair(rng: np.random.Generator) -> None:
    labels = np.arange(40) % 2 == 0
    source = np.where(labels, "ill", "well")
    result = one("within_source", case(rng.standard_normal((40, 1)), labels, columns={"source": source}))
    assert np.isnan(result.value) and "0 source groups have both classes" in result.reason
    source = np.where(np.arange(40) < 20, source, np.where(np.arange(40) < 30, "A", "B"))
    result = one("within_source", case(rng.standard_normal((40, 1)), labels, columns={"source": source}))
    assert result.evidence["images"] == 20 and result.evidence["groups"] == 2


def test_what_holds_in_one_source_each_is_lost_on_another(rng: np.random.Generator) -> None:
    source, labels = np.arange(COUNT) % 4, rng.random(COUNT) < 0.5
    values = 0.3 * rng.standard_normal((COUNT, 4))
    values[np.arange(COUNT), source] += np.where(labels, 3, -3)  # each source has a sign of its own
    result = one("leave_one_source_out", case(values, labels, columns={"source": [f"s{each}" for each in source]}))
    assert result.verdict == "flag" and result.value > 0.25
    assert result.evidence["auc_other_patients"] > 0.9 and abs(result.evidence["auc_other_group"] - 0.5) < 0.2


def test_what_holds_everywhere_carries_over(rng: np.random.Generator) -> None:
    source, labels = np.arange(COUNT) % 4, rng.random(COUNT) < 0.5
    values = np.stack([2 * labels - 1 + 0.8 * rng.standard_normal(COUNT), source - 1.5], 1)
    result = one("leave_one_source_out", case(values, labels, columns={"source": [f"s{each}" for each in source]}))
    assert result.verdict == "clear" and abs(result.value) < 0.05 and result.evidence["groups"] == 4


def test_sources_of_one_class_each_leave_nothing_to_judge(rng: np.random.Generator) -> None:
    labels = np.arange(40) % 2 == 0
    columns = {"source": np.where(labels, "ill", "well"), "site": ["A"] * 39 + ["B"]}
    for result in asked("leave_one_source_out", case(rng.standard_normal((40, 2)), labels, columns=columns)):
        assert np.isnan(result.value) and "need" in result.reason
