"""The label from facts of the files: found where planted, not by way of the patient, and greys told apart."""

from __future__ import annotations

import numpy as np
import pytest

from cxrlens.audit.base import settle
from cxrlens.audit.probes.file_facts import FileFacts, file_features
from support.cohort_cases import by_patient, cohort_case

RNG = np.random.default_rng(0)


def test_a_format_that_is_the_label_is_flagged_and_named() -> None:
    label = np.tile([0.0, 1.0], 30)
    case = cohort_case(label, facts={"format": ["PNG" if one else "JPEG" for one in label]})
    (result,) = settle(FileFacts(classifier="logistic", seeds=1).results(case))
    assert (result.value, result.verdict) == (1, "flag")
    assert result.low < 1
    assert result.sentence.startswith("Format of the files predict")
    assert "width" not in result.sentence


def test_sizes_that_name_the_patient_tell_nothing_by_patient_and_much_by_image() -> None:
    label, patients = by_patient(40, 4, 0.5, seed=3)
    sizes = np.repeat(RNG.permutation(40) * 10 + 200, 4)
    case = cohort_case(label, patients, facts={"width": sizes, "height": sizes, "bytes": sizes * 10})
    (result,) = settle(FileFacts(seeds=1).results(case))
    assert 0.25 < result.value < 0.65 and result.verdict != "flag"
    assert result.evidence["by_image"]["auc"] > 0.9


def test_greys_alone_can_tell_and_the_files_without_them_are_told_apart() -> None:
    label = np.tile([0.0, 1.0], 30)
    histogram = RNG.dirichlet(np.ones(16), 60) + label[:, None] * np.eye(16)[0]
    sizes = RNG.integers(100, 200, 60)
    case = cohort_case(label, facts={"width": sizes}, histogram=histogram)
    (result,) = FileFacts(classifier="logistic", seeds=1).results(case)
    assert result.value > 0.95
    assert result.evidence["without_greys"]["auc"] < 0.75


def test_only_readable_images_with_a_label_count_each_with_its_own_greys() -> None:
    label = np.tile([0.0, 1.0, np.nan], 20)
    histogram = np.zeros((60, 16))
    histogram[label == 1, 0] = histogram[label == 0, 1] = 1
    case = cohort_case(label, histogram=histogram)
    shuffled = RNG.permutation(60)[:50]
    object.__setattr__(case, "facts", case.facts.iloc[shuffled])
    object.__setattr__(case, "histogram", histogram[shuffled])
    (result,) = FileFacts(classifier="logistic", seeds=1).results(case)
    assert result.value == 1
    assert result.evidence["images"] == int((~np.isnan(label[shuffled])).sum())


def test_files_that_are_all_alike_cannot_tell() -> None:
    (result,) = FileFacts().results(cohort_case([1, 0] * 10))
    assert (result.verdict, result.reason) == ("undecided", "all files are alike")


def test_an_unknown_size_is_marked_and_not_taken_for_a_number() -> None:
    case = cohort_case([1, 0, 1, 0], facts={"width": [100, np.nan, 300, 200]})
    features = file_features(case.facts, case.histogram)
    assert list(features) == ["width"]
    np.testing.assert_array_equal(features["width"], [[100, 0], [200, 1], [300, 0], [200, 0]])


@pytest.mark.parametrize("classifier", ["logistic", "gradient_boosting"])
def test_the_other_classifiers_find_it_too(classifier: str) -> None:
    label = np.tile([0.0, 1.0], 30)
    case = cohort_case(label, facts={"width": 500 + 200 * label + RNG.normal(size=60)})
    (result,) = FileFacts(classifier=classifier, seeds=1).results(case)
    assert result.value == 1
