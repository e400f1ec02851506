"""Sorting by group alone: by hand, by invariants, and the table of groups."""

from __future__ import annotations

import numpy as np
import pytest

from cxrlens.audit.associations import associations, share_of_positives
from cxrlens.audit.base import settle
from cxrlens.audit.probes.prevalence import Prevalence
from support.cohort_cases import by_patient, cohort_case


def test_shares_are_of_the_other_folds_drawn_to_the_prevalence_by_one_image() -> None:
    label, part = np.array([1.0, 0, 1, 1]), np.array([0, 1, 0, 1])
    # Fold 0 sees a: 0 of 1 and b: 1 of 1; fold 1 sees a: 1 of 1 and b: 1 of 1; prevalence 0.75.
    shares = share_of_positives(["a", "a", "b", "b"], label, part)
    assert shares.tolist() == [0.75 / 2, 1.75 / 2, 1.75 / 2, 1.75 / 2]


def test_a_site_that_is_the_label_gives_auc_1_a_flag_and_its_table() -> None:
    label = np.tile([0.0, 1.0, 1.0], 20)
    sites = ["here" if one else None for one in label]
    (result,) = settle(Prevalence().results(cohort_case(label, site=sites)))
    assert (result.value, result.verdict) == (1, "flag")
    assert result.low < 1
    assert result.evidence["groups"] == {
        "here": {"positive": 40, "images": 40},
        "unknown": {"positive": 0, "images": 20},
    }


def test_a_site_of_each_patient_tells_nothing_of_other_patients() -> None:
    label, patients = by_patient(40, 3, 0.5, seed=0)
    (result,) = Prevalence().results(cohort_case(label, patients, site=patients))
    assert result.value == 0.5


def test_labels_shuffled_over_patients_are_not_told_by_the_group() -> None:
    values, flags = [], 0
    for seed in range(12):
        label, patients = by_patient(60, 3, 0.6, seed)
        sites = np.repeat(np.random.default_rng(100 + seed).choice(list("abcd"), 60), 3).tolist()
        (result,) = settle(Prevalence().results(cohort_case(label, patients, site=sites)))
        values.append(result.value)
        flags += result.verdict == "flag"
    assert np.mean(values) == pytest.approx(0.5, abs=0.05)
    assert flags <= 1


def test_a_column_has_a_finding_only_where_it_has_two_values_and_says_the_associations_number() -> None:
    rng = np.random.default_rng(0)
    label, patients = by_patient(60, 2, 0.5, seed=0)
    columns = {"site": rng.choice(list("abc"), 120).tolist(), "view": ["PA"] * 120, "source": [None] * 120}
    columns["date"] = [f"{2015 + one}-01-01" for one in rng.integers(0, 4, 120)]
    case = cohort_case(label, patients, **columns)
    result = Prevalence().results(case)
    assert [each.evidence["column"] for each in result] == ["site", "year"]
    alone = {each.column: each.auc for each in associations(case.table)}
    assert {each.evidence["column"]: each.value for each in result} == pytest.approx(
        {name: alone[name] for name in ("site", "year")}
    )


def test_a_table_that_says_nothing_is_said() -> None:
    (result,) = Prevalence().results(cohort_case([1, 0] * 10))
    assert result.sentence == "Not applicable: the study has no source, site, view or year."
    (result,) = Prevalence().results(cohort_case([1, 0] * 10, view=["PA"] * 20))
    assert result.verdict == "undecided" and "one value each" in result.reason
