"""Images that are there twice: harmless on one side under one id, flagged everywhere else."""

from __future__ import annotations

from cxrlens.audit.base import AuditResult
from cxrlens.audit.probes.duplicates import DuplicatePairs
from cxrlens.data.duplicates import Pair
from support.cohort_cases import cohort_case

LABELS = [1, 1, 0, 0]


def pair(one: int, other: int, patients: tuple[str, str] = ("p", "p"), labels: tuple[float, float] = (1, 1)) -> Pair:
    return Pair((f"{one}.png", f"{other}.png"), patients, labels, True, 1.0)


def verdicts(result: list[AuditResult]) -> list[tuple[float, str]]:
    return [(each.value, each.verdict) for each in result]


def test_a_pair_of_one_patient_with_one_label_on_one_side_is_no_fault() -> None:
    result = DuplicatePairs().results(cohort_case(LABELS, validation=[[2, 3]], pairs=[pair(0, 1)]))
    assert verdicts(result) == [(0, "clear")] * 3


def test_two_ids_two_labels_and_two_sides_are_each_flagged_with_the_pair() -> None:
    pairs = [pair(0, 1), pair(0, 2, ("p", "q")), pair(1, 3, ("p", "p"), (1, 0))]
    two_ids, labels, sides = DuplicatePairs().results(cohort_case(LABELS, validation=[[2]], pairs=pairs))
    assert verdicts([two_ids, labels, sides]) == [(1, "flag")] * 3
    assert [each["images"] for each in two_ids.evidence["pairs"]] == [["0.png", "2.png"]]
    assert [each["images"] for each in labels.evidence["pairs"]] == [["1.png", "3.png"]]
    assert [each["patients"] for each in sides.evidence["pairs"]] == [["p", "q"]]
    assert sides.sentence == (
        "Of 3 pairs of images of one exposure, 1 has one image in the training set and one in the validation set."
    )


def test_a_pair_crosses_where_any_fold_takes_it_apart_whichever_image_comes_first() -> None:
    for apart in ([0], [1]):
        *_, sides = DuplicatePairs().results(cohort_case(LABELS, validation=[[0, 1], apart], pairs=[pair(0, 1)]))
        assert sides.value == 1


def test_no_pair_is_one_clear_finding_unless_some_were_not_compared() -> None:
    (result,) = DuplicatePairs().results(cohort_case(LABELS, validation=[[0]]))
    assert (result.value, result.verdict) == (0, "clear")
    assert result.sentence == "No two of 4 readable images show one exposure."
    (result,) = DuplicatePairs().results(cohort_case(LABELS, validation=[[0]], not_compared=7))
    assert result.verdict == "undecided" and result.reason.startswith("7 pairs")
