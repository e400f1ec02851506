"""The label from the table: all of it, none of it, and never by way of the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from cxrlens.audit.base import settle
from cxrlens.audit.probes.metadata_only import MetadataOnly
from support.cohort_cases import by_patient, cohort_case

RNG = np.random.default_rng(0)


def test_a_column_that_is_the_label_gives_auc_1_and_a_flag_with_an_interval() -> None:
    label = np.tile([0.0, 1.0], 40)
    case = cohort_case(label, site=["here" if one else "there" for one in label], view=["PA", "PA", "AP", "AP"] * 20)
    table, dated = settle(MetadataOnly().results(case))
    assert (table.value, table.verdict) == (1, "flag")
    assert 0.5 < table.low < 1 == table.high
    assert list(table.evidence["auc_of_each_column_alone"]) == ["site", "view"]
    assert "the best single column is site with AUC 1.00" in table.sentence
    assert dated.verdict == "undecided" and "no date" in dated.reason


def test_the_year_counts_only_in_the_second_finding() -> None:
    label = np.tile([0.0, 1.0], 40)
    dates = ["2020-03-01" if one else "5 March 2019" for one in label]
    case = cohort_case(label, date=dates, view=RNG.choice(["PA", "AP"], 80).tolist())
    table, dated = settle(MetadataOnly().results(case))
    assert table.verdict != "flag" and table.value < 0.75
    assert (dated.value, dated.verdict) == (1, "flag")


def test_being_unknown_can_tell_the_label() -> None:
    label = np.tile([0.0, 1.0], 40)
    table, _ = MetadataOnly().results(cohort_case(label, age=[60.0 if one else np.nan for one in label]))
    assert table.value == 1
    assert table.evidence["unknown"] == {"age": 40}


@pytest.mark.parametrize("classifier", ["logistic", "forest", "gradient_boosting"])
def test_a_column_that_names_patients_tells_nothing_of_other_patients(classifier: str) -> None:
    """With a patient's other images in training it would tell all; so too with the patient's other id there."""
    label, patients = by_patient(24, 12, 0.5, seed=1)
    two_ids = [f"{patient}{'xy'[row % 2]}" for row, patient in enumerate(patients)]
    merged = {each: each[:-1] for each in two_ids}
    case = cohort_case(label, two_ids, groups=merged, site=patients)
    apart, _ = MetadataOnly(classifier=classifier, seeds=1).results(case)
    together, _ = MetadataOnly(classifier=classifier, seeds=1).results(replace(case, groups={}))
    assert 0.4 < apart.value < 0.6
    assert together.value > 0.9


def test_labels_shuffled_over_patients_are_not_told_and_not_flagged() -> None:
    values, flags = [], 0
    for seed in range(8):
        label, patients = by_patient(60, 3, 0.6, seed)
        rng = np.random.default_rng(100 + seed)
        columns = {
            "site": np.repeat(rng.choice(list("abcdefgh"), 60), 3).tolist(),
            "view": rng.choice(["PA", "AP"], 180).tolist(),
            "age": np.repeat(rng.uniform(20, 90, 60), 3),
        }
        table, _ = settle(MetadataOnly(seeds=1).results(cohort_case(label, patients, **columns)))
        values.append(table.value)
        flags += table.verdict == "flag"
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)
    assert flags <= 1


def test_images_without_a_label_take_no_part() -> None:
    label = np.array([0.0, 1.0] * 20 + [np.nan] * 30)
    case = cohort_case(label, site=["here" if one == 1 else "there" for one in label])
    table, _ = MetadataOnly().results(case)
    assert (table.value, table.evidence["images"]) == (1, 40)


def test_what_cannot_be_measured_is_said() -> None:
    for label, patients, reason in (
        ([1.0] * 10, None, "at least 2 images of each class; got 10 positive and 0 negative"),
        ([1.0] * 5 + [0.0] * 5, ["p"] * 5 + list("abcde"), "at least 2 patients of each class"),
        ([1.0, 0.0] * 5, None, "one value each"),
    ):
        for result in MetadataOnly(features=("view",)).results(cohort_case(label, patients, view=["PA"] * 10)):
            assert result.verdict == "undecided" and np.isnan(result.value)
            assert reason in result.reason


def test_a_table_without_columns_is_not_asked_and_says_so_once() -> None:
    (result,) = MetadataOnly().results(cohort_case([1.0, 0.0] * 5))
    assert result.verdict == "undecided" and np.isnan(result.value)
    assert result.sentence == "Not applicable: the study has no view, age, sex, site, source, licence or year."
    table, dated = MetadataOnly().results(cohort_case([1.0, 0.0] * 5, date=["2015-01-01"] * 10))
    assert table.sentence == "Not applicable: the study has no view, age, sex, site, source or licence."
    assert "one value each" in dated.reason


def test_without_known_patients_the_limits_say_so_and_no_patient_is_claimed() -> None:
    label = np.tile([0.0, 1.0], 20)
    case = cohort_case(label, [f"{row}.png" for row in range(40)], view=["PA", "AP"] * 20)
    table, _ = MetadataOnly().results(case)
    assert "unseen images" in table.sentence
    assert "no patient is known" in table.limits


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(ValidationError, match="features"):
        MetadataOnly.model_validate({"features": ["finding"]})
