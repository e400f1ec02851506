"""Patients on both sides of a split: counted by the source's ids, through merged ids, and fold by fold."""

from __future__ import annotations

import numpy as np

from cxrlens.audit.probes.patient_leak import PatientLeak
from support.cohort_cases import cohort_case

PATIENTS = ["a", "a", "b", "c", "d", "e"]  # images 0 and 1 are of one patient; d turns out to be c
LABELS = [1, 1, 0, 0, 1, 0]


def test_a_leak_by_the_sources_ids_and_one_through_merged_ids_are_counted_apart() -> None:
    case = cohort_case(LABELS, PATIENTS, [[1, 4, 5]], groups={"d": "c"})
    (result,) = PatientLeak().results(case)
    assert result.value == 2 / 3 and result.verdict == "flag"
    assert np.isnan([result.low, result.high, result.p]).all()
    assert result.evidence["images"] == ["1.png", "4.png"]
    assert result.evidence["images_through_merged_ids"] == ["4.png"]
    assert (result.evidence["by_source_ids"], result.evidence["through_merged_ids"]) == (1, 1)
    assert result.sentence == (
        "2 of 3 validation images are of patients who are also in the training set: 1 by the patient ids of the "
        "source, and 1 more because two ids belong to one patient."
    )


def test_two_images_of_one_new_patient_are_no_leak() -> None:
    (result,) = PatientLeak().results(cohort_case(LABELS, PATIENTS, [[0, 1, 5]]))
    assert (result.value, result.verdict) == (0, "clear")
    assert result.sentence == "No validation image is of a patient who is also in the training set."


def test_of_several_folds_the_worst_is_told_and_all_are_counted() -> None:
    (result,) = PatientLeak().results(cohort_case(LABELS, PATIENTS, [[2, 3], [1], [0, 4, 5]]))
    assert (result.value, result.evidence["fold"]) == (1, 1)
    assert [fold["leaking_images"] for fold in result.evidence["folds"]] == [0, 1, 1]
    assert "in the worst of 3 folds" in result.sentence


def test_where_no_patient_is_known_nothing_is_cleared() -> None:
    names = [f"{row}.png" for row in range(6)]
    (result,) = PatientLeak().results(cohort_case(LABELS, names, [[0, 3]]))
    assert result.verdict == "undecided" and np.isnan(result.value)
    assert "names no patient" in result.reason
    (result,) = PatientLeak().results(cohort_case(LABELS, names, [[0, 3]], groups={"0.png": "1.png"}))
    assert result.verdict == "flag" and result.value == 0.5


def test_without_a_split_it_says_so() -> None:
    (result,) = PatientLeak().results(cohort_case(LABELS, PATIENTS))
    assert (result.verdict, result.reason) == ("undecided", "the study's split cannot be drawn")
