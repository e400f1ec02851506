"""Threshold, calibration and groups as tables: what is known is shown, what is not is a dash with its counts."""

from __future__ import annotations

import math

import pytest

from cxrlens.report.export import details_markdown, operating_table, subgroups_table

RATES = {
    "sensitivity": 0.9, "sensitivity_low": 0.8, "sensitivity_high": 0.95,
    "specificity": 0.5, "specificity_low": 0.2, "specificity_high": 0.8,
}  # fmt: skip
COUNTS = {"images": 3, "patients": 2, "positive": 3, "negative": 0}
KNOWN = {"by": "view", "group": "PA", **COUNTS, "auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, **RATES, "reason": ""}
SMALL = KNOWN | {"group": "AP|x", "auc": None, "auc_low": None, "auc_high": None, "specificity": None, "reason": "no 0"}


@pytest.fixture
def results() -> dict:
    model = {
        "name": "a model",
        "threshold": {"value": 0.25, **RATES},
        "calibration": {"intercept": -1.0, "slope": 0.5, "brier": 0.2},
        "subgroups": [KNOWN, SMALL],
    }
    return {"models": [model, {**model, "name": "b model", "subgroups": []}]}


def test_a_row_a_model_holds_its_threshold_and_calibration(results: dict) -> None:
    table = operating_table(results)
    assert table["model"].tolist() == ["a model", "b model"]
    assert table.loc[0, ["threshold", "specificity_low", "slope"]].tolist() == [0.25, 0.2, 0.5]


def test_a_group_without_an_auc_keeps_its_counts_and_its_reason(results: dict) -> None:
    table = subgroups_table(results)
    assert len(table) == 2 and table.loc[1, "positive"] == 3 and table.loc[1, "reason"] == "no 0"
    assert math.isnan(table.loc[1, "auc"]) and table.loc[1, "sensitivity"] == 0.9


def test_markdown_shows_intervals_dashes_and_no_stray_column(results: dict) -> None:
    text = details_markdown(results)
    assert "| a model | view: PA | 3 | 3 | 0 | 0.70 [0.60, 0.80] | 0.90 [0.80, 0.95] | 0.50 [0.20, 0.80] |" in text
    assert r"| a model | view: AP\|x | 3 | 3 | 0 | – | 0.90 [0.80, 0.95] | – |" in text
    assert "| a model | 0.250 | 0.90 [0.80, 0.95] | 0.50 [0.20, 0.80] | -1.000 | 0.500 | 0.200 |" in text
