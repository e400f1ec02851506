"""Patients on both sides of a split: counted by the source's ids, through merged ids, and fold by fold."""

from __future__ import annotations

import numpy as np

from cxrlens.audit.probes.patient_leak import PatientLeak
from support.cohort_cases import cohort_case

PATIENTS = ["a", "a", "b", "c", "d", "e"]  # images 0 and 1 are of one patient; d turns out to be c
LABELS = [1, 1, 0, 0, 1, 0]


def test_a_leak_by_the_sources_ids_and_one_through_merged_ids_are_counted_apart() -> None:
    case = cohort_case(LABELS, PATIENTS, [[1, 4, 5]], groups={"d": "c"})
    (found,) = PatientLeak().results(case)
    assert found.value == 2 / 3 and found.verdict == "flag"
    assert np.isnan([found.low, found.high, found.p]).all()
    assert found.evidence["images"] == ["1.png", "4.png"]
    assert found.evidence["images_through_merged_ids"] == ["4.png"]
    assert (found.evidence["by_source_ids"], found.evidence["through_merged_ids"]) == (1, 1)
    assert found.sentence == (
        "2 of 3 validation images are of patients who are also in the training set: 1 by the patient ids of the "
        "source, and 1 more because two ids belong to one patient."
    )


def test_two_images_of_one_new_patient_are_no_leak() -> None:
    (found,) = PatientLeak().results(cohort_case(LABELS, PATIENTS, [[0, 1, 5]]))
    assert (found.value, found.verdict) == (0, "clear")
    assert found.sentence == "No validation image is of a patient who is also in the training set."


def test_of_several_folds_the_worst_is_told_and_all_are_counted() -> None:
    (found,) = PatientLeak().results(cohort_case(LABELS, PATIENTS, [[2, 3], [1], [0, 4, 5]]))
    assert (found.value, found.evidence["fold"]) == (1, 1)
    assert [fold["leaking_images"] for fold in found.evidence["folds"]] == [0, 1, 1]
    assert "in the worst of 3 folds" in found.sentence


def test_where_no_patient_is_known_nothing_is_cleared() -> None:
    names = [f"{row}.png" for row in range(6)]
    (found,) = PatientLeak().results(cohort_case(LABELS, names, [[0, 3]]))
    assert found.verdict == "undecided" and np.isnan(found.value)
    assert "names no patient" in found.reason
    (found,) = PatientLeak().results(cohort_case(LABELS, names, [[0, 3]], groups={"0.png": "1.png"}))
    assert found.verdict == "flag" and found.value == 0.5


def test_without_a_split_it_says_so() -> None:
    (found,) = PatientLeak().results(cohort_case(LABELS, PATIENTS))
    assert (found.verdict, found.reason) == ("undecided", "the study's split cannot be drawn")
