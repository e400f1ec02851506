"""Verdicts: what is flagged, cleared or left open, Holm family by family, and records that come back the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cxrlens.audit.base import AuditResult, Bar, plain_result, refused, restored, settle

BAR = Bar(0.5, 0.1, "of these")


def finding(value: float, low: float, high: float, p: float, bar: Bar | None = BAR, **more: object) -> AuditResult:
    output = AuditResult(
        "probe", "model", "AUC", value, low, high, "undecided", "limits", "direction", "Said.", p, bar=bar
    )
    return replace(output, **more)


def verdicts(*findings: AuditResult, level: float = 0.95) -> list[str]:
    return [each.verdict for each in settle(findings, level)]


def test_a_finding_above_its_null_beyond_chance_is_flagged() -> None:
    assert verdicts(finding(0.7, 0.55, 0.8, 0.01)) == ["flag"]
    assert verdicts(finding(0.7, 0.501, 0.8, 0.05)) == ["flag"], "p of exactly 1 - level is an interval that ends there"


def test_one_below_its_null_is_never_flagged_however_sure() -> None:
    assert verdicts(finding(0.3, 0.2, 0.4, 0.001)) == ["clear"]


def test_one_is_cleared_where_its_interval_stays_within_the_margin() -> None:
    assert verdicts(finding(0.52, 0.45, 0.59, 0.4), replace(finding(0.52, 0.45, 0.60, 0.4))) == ["clear", "undecided"]


def test_what_stays_within_the_margin_is_cleared_however_sure() -> None:
    assert verdicts(finding(0.55, 0.52, 0.58, 0.001)) == ["clear"]


def test_holms_correction_decides_not_the_interval() -> None:
    alone = finding(0.7, 0.55, 0.8, 0.03)
    settled = settle([alone, finding(0.6, 0.4, 0.8, 0.5)])
    assert alone.low > 0.5 and settled[0].verdict == "undecided"
    assert [each.p_holm for each in settled] == [pytest.approx(0.06), pytest.approx(0.5)]


def test_families_do_not_correct_each_other() -> None:
    other = replace(BAR, family="of those")
    result = settle([finding(0.7, 0.55, 0.8, 0.03), finding(0.7, 0.55, 0.8, 0.04, other)])
    assert [each.p_holm for each in result] == [0.03, 0.04] and {each.verdict for each in result} == {"flag"}


def test_an_unknown_p_is_no_flag_and_is_left_out_of_the_correction() -> None:
    result = settle([finding(0.9, 0.8, 1.0, np.nan), finding(0.7, 0.55, 0.8, 0.03)])
    assert [each.verdict for each in result] == ["undecided", "flag"]
    assert np.isnan(result[0].p_holm) and result[1].p_holm == 0.03


def test_an_unknown_interval_settles_nothing() -> None:
    assert verdicts(finding(0.5, np.nan, np.nan, 0.9)) == ["undecided"]
    assert verdicts(finding(0.9, np.nan, np.nan, 0.001)) == ["undecided"]
    assert verdicts(finding(np.nan, np.nan, np.nan, np.nan)) == ["undecided"]


def test_a_finding_without_a_bar_keeps_its_verdict() -> None:
    own = finding(0.9, 0.8, 1.0, 0.001, None, verdict="clear")
    assert settle([own]) == [own]


def test_the_level_is_that_of_the_intervals() -> None:
    assert verdicts(finding(0.7, 0.52, 0.8, 0.08)) == ["undecided"]
    assert verdicts(finding(0.7, 0.52, 0.8, 0.08), level=0.9) == ["flag"]


def test_none_is_no_trouble_and_the_order_is_kept() -> None:
    assert settle([]) == []
    result = settle([finding(value, 0.4, 0.9, 0.5) for value in (0.6, 0.5, 0.7)])
    assert [each.value for each in result] == [0.6, 0.5, 0.7]


def test_what_cannot_be_measured_is_a_finding_without_a_number() -> None:
    result = refused("corners", "m", "AUC lost", "too few images", "limits")
    assert np.isnan([result.value, result.low, result.high, result.p, result.p_holm]).all()
    assert (result.verdict, result.reason, result.bar) == ("undecided", "too few images", None)
    assert result.sentence == "Not measured: too few images."
    assert settle([result])[0] is result


def test_a_record_comes_back_as_the_finding_it_was() -> None:
    for each in settle(
        [
            finding(0.71, 0.551, 0.8, 0.03, evidence={"images": 3, "names": ["a"], "inner": {"low": 0.25}}),
            finding(0.5, 0.4, np.nan, np.nan),
            refused("text", None, "AUC lost", "no letters", "limits", "direction"),
            finding(3.0, np.nan, np.nan, np.nan, None, verdict="flag", reason="seen"),
        ]
    ):
        output = json.loads(json.dumps(plain_result(each), allow_nan=False))
        back = restored(output)
        assert plain_result(back) == output
        np.testing.assert_equal(vars(back), vars(each))


def test_a_record_of_another_version_is_not_taken_for_one() -> None:
    output = plain_result(finding(0.7, 0.55, 0.8, 0.01))
    for other in ({**output, "more": 1}, {name: output[name] for name in output if name != "limits"}):
        with pytest.raises(TypeError):
            restored(other)
    with pytest.raises(TypeError):
        restored({name: output[name] for name in output if name != "high"})
