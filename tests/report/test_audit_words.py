"""The audit in words and at a glance: what is said of flags, of open questions, and of none."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cxrlens.audit.probes import PROBES
from cxrlens.errors import UserError
from cxrlens.report.audit_words import (
    COHORT_TITLE,
    CONTROL,
    MAP_PROBES,
    NOTICE,
    PROBE_TEXTS,
    cohort_cells,
    overall_verdict,
    summary,
)
from cxrlens.report.figures import audit_figure


def finding(probe: str, verdict: str, model: str | None = "m", **more: object) -> dict[str, Any]:
    told = {
        "probe": probe, "model": model, "statistic": f"statistic of {probe}", "value": 0.7, "low": 0.6, "high": 0.8,
        "verdict": verdict, "sentence": f"Sentence of {probe}.", "reason": "", "p": 0.001, "p_holm": None,
    }  # fmt: skip
    return {**told, **more}


def told(*findings: dict[str, Any], models: tuple[str, ...] = ("m",)) -> dict[str, Any]:
    results = {
        "study": "s", "models": [{"name": name, "auc": 0.81, "auc_low": 0.7, "auc_high": 0.9} for name in models],
    }  # fmt: skip
    return summary(findings, results)


def of_model(*findings: dict[str, Any]) -> dict[str, Any]:
    return told(*findings)["models"][0]


def test_every_probe_has_words() -> None:
    named = set(PROBES)
    assert named - {CONTROL} == set(PROBE_TEXTS) and CONTROL in named and not named & set(MAP_PROBES)
    for probe, words in PROBE_TEXTS.items():
        assert words.title and (probe.startswith("lungs_only") or (words.meaning and words.advice))


def test_flags_make_the_headline_with_what_they_mean_and_what_to_do() -> None:
    part = of_model(finding("corners", "flag"), finding("border_only", "flag"), finding("text", "clear"))
    assert part["headline"] == "This model may be using marks in the corners and the border of the image."
    assert part["flags"] == 2 and part["points"][0].startswith("Sentence of corners.")
    assert part["next"][0] == "Fill or crop the corners, train again and compare."
    assert part["auc"] == "AUC 0.81 [0.70, 0.90]"
    assert "Tests that exclude a relevant shortcut: letters and signs." in part["points"]


def test_the_plainest_flag_comes_first_and_three_are_a_list() -> None:
    part = of_model(finding("severity", "flag"), finding("within_source", "flag"), finding("corners", "flag"))
    assert [point.split()[2] for point in part["points"]] == ["corners.", "within_source.", "severity."]
    assert part["headline"].count(",") == 1 and " and other signs than" in part["headline"]


def test_two_findings_of_one_probe_are_said_once_in_the_headline() -> None:
    part = of_model(finding("source_probe", "flag"), finding("source_probe", "flag", statistic="another"))
    assert part["headline"].count("the source of an image") == 1 and part["flags"] == 2 and len(part["next"]) == 1


def test_open_questions_are_no_all_clear() -> None:
    part = of_model(finding("corners", "clear"), finding("text", "undecided"))
    assert part["headline"] == "No shortcut was found, but some tests are undecided."
    assert any(point.startswith("Undecided") and "letters and signs" in point for point in part["points"])
    assert part["flags"] == 0 and "on external images" in part["next"][0]


def test_a_probe_that_is_open_in_one_column_is_not_also_clear() -> None:
    part = of_model(finding("within_source", "clear"), finding("within_source", "undecided", statistic="another"))
    assert not any(point.startswith("Tests that exclude") for point in part["points"])


def test_all_clear_is_said_of_these_questions_alone_and_nothing_asked_is_no_all_clear() -> None:
    assert of_model(finding("corners", "clear"))["headline"] == ("None of these tests found a relevant shortcut.")
    for findings in ((), (finding("map_trust", "clear"), finding("planted_marker", "clear"))):
        assert of_model(*findings)["headline"] == "No test that could find a shortcut was run."


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ({}, "undecided"),
        ({"planted_marker": "clear", "map_trust": "flag"}, "undecided"),
        ({"corners": "clear", "map_trust": "flag", "planted_marker": "undecided"}, "clear"),
        ({"corners": "clear", "text": "undecided"}, "undecided"),
        ({"corners": "undecided", "text": "flag"}, "flag"),
    ],
)
def test_one_open_or_missing_test_is_no_all_clear_and_one_flag_decides(verdicts: dict[str, str], overall: str) -> None:
    assert overall_verdict([finding(probe, verdict) for probe, verdict in verdicts.items()]) == overall


def test_of_the_cohort_it_is_said_before_training_and_to_no_model() -> None:
    page = told(finding("prevalence", "flag", model=None), finding("corners", "clear"))
    assert page["cohort"]["name"] == COHORT_TITLE and page["cohort"]["flags"] == 1 and page["models"][0]["flags"] == 0
    assert page["cohort"]["headline"].startswith("Before any training, these can predict the label")
    assert told(finding("corners", "clear"))["cohort"]["next"] == []


@pytest.mark.parametrize(
    ("p", "said"), [(0.001, "(p < 0.01)"), (0.0099, "(p < 0.01)"), (0.01, "(p = 0.01)"), (0.042, "(p = 0.04)")]
)
def test_how_sure_a_flag_is_is_said(p: float, said: str) -> None:
    assert of_model(finding("corners", "flag", p_holm=p))["points"][0] == f"Sentence of corners {said}."


def test_what_speaks_for_the_lungs_is_said_as_it_is_and_no_shortcut_excluded() -> None:
    part = of_model(finding("corners", "clear"), finding("lungs_only", "clear"))
    assert part["points"] == ["Tests that exclude a relevant shortcut: corners.", "Sentence of lungs_only."]


def test_a_flag_without_a_p_says_nothing_of_chance() -> None:
    assert of_model(finding("severity", "flag"))["points"][0] == "Sentence of severity."


def test_a_control_that_failed_is_said_and_one_that_passed_is_not() -> None:
    blind = of_model(finding("corners", "clear"), finding("planted_marker", "undecided", reason="it did not show"))
    assert "The audit's own control test did not pass: it did not show." in blind["points"] and blind["flags"] == 0
    seen = of_model(finding("corners", "clear"), finding("planted_marker", "clear"))
    assert not any("control" in point for point in seen["points"])


def test_maps_are_said_last_and_never_flag_the_model() -> None:
    part = of_model(finding("lung_enrichment", "clear"), finding("map_trust", "flag"), finding("corners", "clear"))
    assert part["points"][-2:] == ["Sentence of map_trust.", "Sentence of lung_enrichment."] and part["flags"] == 0


def test_maps_that_were_not_measured_are_said_with_the_reason_and_one_reason_once() -> None:
    unknown = "the positions of the lungs are unknown"
    part = of_model(
        *(
            finding("lung_enrichment", "undecided", statistic=f"{method}: lung enrichment", value=None, reason=unknown)
            for method in ("Grad-CAM", "Saliency")
        ),
        finding("map_trust", "undecided", statistic="Grad-CAM: similarity", value=None, reason="it has no convolution"),
        finding("map_trust", "undecided", statistic="Saliency: similarity", value=None),
    )
    assert part["points"] == [
        "Sentence of map_trust.",  # it was evaluated: only its mean is unknown
        "Whether the Grad-CAM maps of this network can be trusted was not measured: it has no convolution.",
        f"Lung enrichment of the Grad-CAM and Saliency maps was not measured: {unknown}.",
    ]
    assert f"- Lung enrichment of the Grad-CAM and Saliency maps was not measured: {unknown}." in told(
        finding("lung_enrichment", "undecided", statistic="Grad-CAM: lung enrichment", value=None, reason=unknown),
        finding("lung_enrichment", "undecided", statistic="Saliency: lung enrichment", value=None, reason=unknown),
    )["markdown"].replace("\\-", "-")


def test_each_model_has_its_own_findings_in_the_results_order() -> None:
    page = told(finding("corners", "flag", model="b"), finding("corners", "clear", model="a"), models=("a", "b"))
    assert [(part["name"], part["flags"]) for part in page["models"]] == [("a", 0), ("b", 1)]


def test_the_markdown_holds_the_notice_every_part_and_what_to_do() -> None:
    page = told(finding("corners", "flag"), finding("prevalence", "clear", model=None))
    text = page["markdown"]
    assert text.startswith("# Audit of s\n") and NOTICE in text and page["notice"] == NOTICE
    assert "never for diagnosis" in NOTICE and "safe" in NOTICE
    assert f"## {COHORT_TITLE}" in text and "## m (AUC 0.81 [0.70, 0.90])" in text
    assert "1. Fill or crop the corners" in text


def test_the_cohorts_table_says_what_was_not_measured() -> None:
    header, rows = cohort_cells(
        [finding("prevalence", "flag", model=None), finding("corners", "flag"),
         finding("metadata_only", "undecided", model=None, value=None, low=None, high=None),
         finding("patient_leak", "flag", model=None, value=3, low=None, high=None)]
    )  # fmt: skip
    assert len(header) == 3 and rows == [
        ["statistic of prevalence", "0.70 [0.60, 0.80]", "flag"],
        ["statistic of metadata_only", "not measured", "undecided"],
        ["statistic of patient_leak", "3.00", "flag"],
    ]


def test_the_figure_draws_many_models_of_long_names_and_what_is_unknown() -> None:
    names = [f"DenseNet121, CheXNet's weights, the last two blocks trained, seed {each}" for each in range(5)]
    findings = [
        finding(probe, verdict, model=name)
        for name in names
        for probe, verdict in zip(PROBE_TEXTS, ("flag", "clear", "undecided") * 6, strict=False)
    ]
    findings.append(finding("text", "undecided", model=names[0], statistic="x" * 90, value=None, low=None, high=None))
    figure = audit_figure(findings)
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = [each.get_text() for each in axes.texts]
    assert texts.count("not measured") == 1 and texts.count("▲") == 5 * 6 and "0.70 [0.60, 0.80]" in texts
    assert [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()] == names
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes)), "names run into each other"
    canvas = np.asarray(figure.canvas.buffer_rgba())
    assert (canvas[:4] == 255).all() and (canvas[:, :4] == 255).all(), "cut off at the rim"


def test_questions_stand_in_their_order_and_trust_is_told_in_a_word() -> None:
    told = [finding(probe, "flag", model="m", statistic=probe) for probe in ("text", "border_only", "corners")]
    similarity = "Saliency: similarity to the maps of a random network"
    told.append(finding("map_trust", "clear", model="m", statistic=similarity, value=-0.3))
    (axes,) = audit_figure(told).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["corners", "text", "border_only", "Saliency: can its maps be trusted?"]
    assert axes.texts[-1].get_text() == "trusted"


def test_a_number_lies_in_its_own_cell() -> None:
    figure = audit_figure([finding("corners", "flag", value=-0.12, low=-0.34, high=-0.05, model=name) for name in "ab"])
    figure.canvas.draw()
    (axes,) = figure.axes
    canvas = np.asarray(figure.canvas.buffer_rgba())
    assert (canvas[:, -4:] == 255).all(), "cut off at the rim"
    for text in axes.texts:
        left = axes.transData.inverted().transform(text.get_window_extent())
        assert int(left[0, 0]) == int(left[1, 0]), text.get_text()


def test_a_figure_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="needs at least one audit result"):
        audit_figure([])
