"""All questions to a cohort: verdicts, options, plain values, greys, and the paper's cohort."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cxrlens.audit.base import DEFAULT_INTERVALS, AuditResult, plain_result
from cxrlens.audit.data_check import examine
from cxrlens.audit.masking import grey_histogram
from cxrlens.audit.network import cohort_results
from cxrlens.data.cache import build_cache
from cxrlens.data.sources.covid_chestxray import CovidChestXray
from cxrlens.data.split import SplitOptions, make_splits
from cxrlens.errors import UserError
from cxrlens.pipeline.check import cohort_case as real_case
from support.cohort_cases import cohort_case

PROBES = {"duplicates", "file_facts", "metadata_only", "patient_leak", "prevalence"}


@pytest.mark.parametrize("label", [[1.0] * 12, [np.nan] * 12, [1.0, 0.0] * 6])
def test_every_probe_answers_every_cohort_and_says_its_limits(label: list[float]) -> None:
    findings = cohort_results(cohort_case(label, validation=[[0, 1, 2]], view=["PA", "AP", "AP"] * 4))
    assert {each.probe for each in findings} == PROBES
    for each in findings:
        assert each.limits and each.direction and each.sentence.endswith(".")
        assert each.model is None
        assert not np.isnan(each.value) or each.reason


def test_findings_of_one_family_are_corrected_together() -> None:
    label = np.tile([0.0, 1.0], 30)
    findings = cohort_results(cohort_case(label, view=["PA" if one else "AP" for one in label]))
    with_bar = [each for each in findings if each.bar]
    assert [each.probe for each in with_bar] == ["metadata_only", "prevalence"]
    assert all(each.p_holm == 2 * each.p and each.verdict == "flag" for each in with_bar)


def test_options_reach_the_probe_and_a_misspelt_one_is_named() -> None:
    label = np.tile([0.0, 1.0], 20)
    case = cohort_case(label, view=["PA", "AP"] * 20, sex=["M", "F"] * 20)
    findings = cohort_results(case, {"metadata_only": {"features": ["sex"]}, "of_models": {"x": 1}})
    requested = next(each for each in findings if each.probe == "metadata_only")
    assert list(requested.evidence["auc_of_each_column_alone"]) == ["sex"]
    with pytest.raises(UserError, match=r"\[audit.options.metadata_only\].*did you mean 'seeds'"):
        cohort_results(case, {"metadata_only": {"seed": 3}})


def test_findings_are_plain_values_and_unknown_numbers_null() -> None:
    result = [plain_result(each) for each in cohort_results(cohort_case([1.0] * 12, validation=[[0]]))]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    leak = next(each for each in result if each["probe"] == "patient_leak")
    assert (leak["value"], leak["low"], leak["p"], leak["bar"]) == (0, None, None, None)


def test_a_grey_histogram_is_shares_of_equal_ranges() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(grey_histogram(pixels), np.full((1, 16), 1 / 16))
    noise = np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    for bins in (7, 16, 256):
        by_numpy = [np.histogram(image, bins=np.linspace(0, 256, bins + 1))[0] / 400 for image in noise]
        np.testing.assert_allclose(grey_histogram(noise, bins), by_numpy)


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[AuditResult]]:
    """What is found in the paper's cohort with the paper's split."""
    cohort = CovidChestXray().cohort(shared / "data" / "covid-chestxray-2020-05-04")
    cache = build_cache(cohort, 112, "bilinear", tmp_path_factory.mktemp("real"))
    result = examine(cohort, cache)
    splits = make_splits(cohort.with_missing(cache.missing), SplitOptions(kind="paper"))
    case = real_case(cohort, splits, cache, result.groups, result.duplicates, DEFAULT_INTERVALS)
    by_probe: dict[str, list[AuditResult]] = {}
    for each in cohort_results(case):
        by_probe.setdefault(each.probe, []).append(each)
    return by_probe


def test_45_of_the_papers_96_validation_images_leak_and_3_more_by_merged_ids(
    real: dict[str, list[AuditResult]],
) -> None:
    (result,) = real["patient_leak"]
    assert result.verdict == "flag" and result.value == 0.5
    counts = ("validation_images", "by_source_ids", "through_merged_ids", "leaking_images")
    assert [result.evidence[name] for name in counts] == [96, 45, 3, 48]


def test_the_papers_cohort_holds_patients_under_two_ids(real: dict[str, list[AuditResult]]) -> None:
    two_ids, conflicts, sides = real["duplicates"]
    assert {tuple(pair["patients"]) for pair in two_ids.evidence["pairs"]} >= {("97", "178"), ("193", "195")}
    assert (two_ids.verdict, conflicts.verdict, sides.verdict) == ("flag", "clear", "flag")


def test_the_papers_table_tells_the_label_better_than_its_models(real: dict[str, list[AuditResult]]) -> None:
    """First measured as 0.90 and 0.99, by another classifier on unmerged ids."""
    table, dated = real["metadata_only"]
    assert table.value == pytest.approx(0.90, abs=0.05) and dated.value == pytest.approx(0.99, abs=0.01)
    assert (table.verdict, dated.verdict) == ("flag", "flag")
    assert next(iter(table.evidence["auc_of_each_column_alone"])) == "site"
    assert next(iter(dated.evidence["auc_of_each_column_alone"])) == "year"


def test_the_papers_files_tell_more_with_patients_on_both_sides(real: dict[str, list[AuditResult]]) -> None:
    """First measured as 0.65 by patient and 0.76 by image."""
    (result,) = real["file_facts"]
    assert result.value == pytest.approx(0.65, abs=0.05)
    assert result.evidence["by_image"]["auc"] == pytest.approx(0.76, abs=0.05)
    assert result.evidence["by_image"]["auc"] > result.value + 0.03


def test_the_papers_sites_and_years_sort_the_label(real: dict[str, list[AuditResult]]) -> None:
    by_column = {each.evidence["column"]: each for each in real["prevalence"]}
    assert list(by_column) == ["source", "site", "view", "year"]
    assert by_column["site"].value == pytest.approx(0.87, abs=0.02)
    assert by_column["year"].evidence["groups"]["2020"] == {"positive": 161, "images": 161}
