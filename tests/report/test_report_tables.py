import io
import json

import numpy as np
import pytest
from rich.console import Console

from cxrlens.report.export import RATES, table_files
from cxrlens.report.page.summary import who_won
from cxrlens.report.published import hanley_mcneil
from cxrlens.report.tables import comparisons_table, render, table1, table1_note, to_markdown

DETAILS = {
    "subgroups": [],
    "threshold": dict.fromkeys(["value", *RATES]),
    "calibration": dict.fromkeys(("intercept", "slope", "brier")),
}


PAPER_IMAGES = {"paper_positive": 79, "paper_negative": 17}


def model(name, auc, **more):
    return {
        "name": name, "auc": auc, "auc_low": auc - 0.1, "auc_high": auc + 0.1, "auc_train_low": None,
        "auc_train_high": None, "rough": False, "reason": "", "seeds": 1, "folds": 1, "auc_seed_sd": None,
        "images": 96, "positive": 79,
        "negative": 17, "patients": 80,
        "parameters": 7_543_809, "trainable_parameters": 589_953, "paper_auc": None, **more,
    }  # fmt: skip


@pytest.fixture
def results():
    return {
        "models": [
            model("benchmark", 0.7, paper_auc=0.672, **PAPER_IMAGES),
            model("densenet121-chexnet", 0.8, seeds=3, folds=5),
        ],
        "comparisons": [
            {"a": "benchmark", "b": "densenet121-chexnet", "difference": -0.1, "low": -0.2, "high": 0.01, "p": 0.08,
             "p_holm": 0.08, "train_p": None}
        ],
        "winner": {"name": None, "sentence": "no winner can be named: no interval excludes 0"},
        "evaluation": {"level": 0.95},
        "skipped": [
            {"name": "vgg16 [x]", "reason": "its weights are not in reach", "paper_auc": 0.721, **PAPER_IMAGES}
        ],
        "warnings": ["45 of 96 validation images are of patients in training"],
    }  # fmt: skip


def shown(results, width):
    console = Console(width=width, record=True, file=io.StringIO())
    for part in render(results):
        console.print(part)
    return console.export_text()


def test_a_long_header_has_one_word_per_line_where_the_table_is_folded(results):
    narrow, wide = shown(results, 80).splitlines(), shown(results, 160)
    first = next(number for number, line in enumerate(narrow) if line.strip() == "trained")
    assert narrow[first + 1].split()[:5] == ["model", "parameters", "seeds", "AUC", "[95%]"]
    assert "trained parameters" in wide and "“trained”" not in wide


def test_table_1_has_a_row_a_model_and_the_papers_interval(results):
    table = table1(results)
    assert table["model"].tolist() == ["benchmark", "densenet121-chexnet", "vgg16 [x]"]
    assert table.loc[0, ["paper_low", "paper_high"]].astype(float).round(2).tolist() == [0.53, 0.79]
    assert table.loc[0, "trainable_parameters"] == 589_953
    assert (
        np.isnan(table.loc[0, "auc_train_high"])
        and np.isnan(table.loc[2, "auc"])
        and np.isnan(table.loc[1, "paper_auc"])
    )
    assert table.loc[2, "paper_auc"] == 0.721


def test_the_papers_auc_without_numbers_of_images_has_no_interval(results):
    interval = "Published AUCs have the interval of Hanley and McNeil for 79 positive and 17 negative images."
    assert interval in table1_note(results)
    for row in (results["models"][0], results["skipped"][0]):
        del row["paper_positive"], row["paper_negative"]
    table, text = table1(results), to_markdown(results)
    assert table.loc[0, "paper_auc"] == 0.672 and np.isnan(table.loc[0, "paper_low"])
    assert "| 0.672 |" in text and "Hanley" not in text
    assert "Published AUCs have no interval, because the study does not give their numbers of images." in text


def test_each_row_has_the_interval_of_its_own_numbers_of_images(results):
    results["skipped"][0] |= {"paper_positive": 20, "paper_negative": 30}
    table = table1(results)
    assert table.loc[0, ["paper_low", "paper_high"]].astype(float).round(2).tolist() == [0.53, 0.79]
    assert table.loc[2, "paper_low"] == pytest.approx(hanley_mcneil(0.721, 20, 30).low)
    assert "20 positive and 30 negative or 79 positive and 17 negative images" in table1_note(results)


@pytest.mark.parametrize("auc", [0.0, 1.0])
def test_a_papers_auc_of_0_or_1_is_shown_without_an_interval(results, auc):
    results["models"][0]["paper_auc"] = auc
    assert f"| {auc:.3f} |" in to_markdown(results)


def test_the_pairs_are_a_table_and_one_model_has_none(results):
    assert comparisons_table(results).loc[0, ["a", "difference"]].tolist() == ["benchmark", -0.1]
    assert np.isnan(comparisons_table(results).loc[0, "train_p"])
    assert len(comparisons_table({"models": results["models"][:1]})) == 0


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_every_number_at_any_width(results, width):
    text = shown(results, width)
    for part in (
        "warning: 45 of 96", "589,953", "0.700", "[0.60, 0.80]", "0.672", "[0.53, 0.79]", "3 × 5 folds",
        "-0.100",        "not run: vgg16 [x]: its weights are not in reach", "no winner can be named", "by patient",
        "never for diagnosis",
    ):  # fmt: skip
        assert part in text
    assert "densenet121" in text and max(map(len, text.splitlines())) <= width


def test_markdown_holds_the_same_and_every_row_has_every_column(results):
    text = to_markdown(results)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert "| benchmark | 589,953 | 1 | 0.700 [0.60, 0.80] | 0.672 [0.53, 0.79] |" in rows
    assert len({line.count("|") for line in rows[:5]}) == 1
    assert "**no winner can be named" in text and "- Not run: vgg16 [x]" in text


def test_results_read_back_from_their_file_print_the_same(results):
    assert shown(json.loads(json.dumps(results)), 100) == shown(results, 100)


def test_one_model_without_the_papers_value_needs_no_word_of_the_paper(results):
    alone = {"models": [model("only", 0.6)], "comparisons": [], "winner": {"name": None, "sentence": "one model only"}}
    text = shown(alone, 120)
    assert "Hanley" not in text and "Every pair" not in text and "one model only" in text


def test_a_study_of_no_paper_has_no_column_for_one(results):
    bare = results | {"models": [model("a", 0.7)], "skipped": [], "comparisons": []}
    assert "ublished" not in shown(bare, 80) and "ublished" not in to_markdown(bare)
    assert "0.700" in shown(bare, 80)


def test_with_3_trainings_the_second_interval_stands_beside_the_first_in_every_form(results):
    results["models"][1] |= {"auc_train_low": 0.61, "auc_train_high": 0.97}
    results["comparisons"][0] |= {"train_low": -0.31, "train_high": 0.11, "train_p": 0.2, "train_p_holm": 0.21}
    assert "| densenet121-chexnet | 589,953 | 3 × 5 folds | 0.800 [0.70, 0.90] | [0.61, 0.97] | – |" in to_markdown(
        results
    )
    assert "[-0.31, 0.11] | 0.210 |" in to_markdown(results) and "patients and trainings" in to_markdown(results)
    assert table1(results).loc[1, ["auc_train_low", "auc_train_high"]].tolist() == [0.61, 0.97]
    for part in ("[0.61, 0.97]", "[-0.31, 0.11]", "0.210", "incl."):
        assert part in shown(results, 100)
    files = table_files({**results, "models": [model | DETAILS for model in results["models"]]})
    assert "0.61" in files["table1.csv"] and "[0.61, 0.97]" in files["table1.tex"]


@pytest.mark.parametrize("trainings", ["seeds", "folds"])
def test_the_sentence_says_what_the_second_interval_is_of(results, trainings):
    results["models"][1] |= {"auc_train_low": 0.61, "auc_train_high": 0.97}
    results["evaluation"]["trainings"] = trainings
    assert f"over patients and trainings ({trainings}) together" in table1_note(results)


def test_few_patients_are_called_rough_and_fewer_have_a_dash_and_the_reason_in_every_form(results):
    reason = "an interval needs at least 5 patients of each class; got 20 with positive and 4 with negative images"
    results["models"][0] |= {"rough": True}
    results["models"][1] |= {"auc_low": None, "auc_high": None, "reason": reason}
    files = table_files({**results, "models": [model | DETAILS for model in results["models"]]})
    for text in (to_markdown(results), files["table1.md"], files["table1.tex"].replace("--", "–"), shown(results, 140)):
        assert "0.700 [0.60, 0.80] rough" in text and "0.800 –" in text
    assert "got 20 with positive and 4 with negative images" in to_markdown(results)
    assert "fewer than 10 patients" in to_markdown(results) and reason in files["table1.csv"]


def test_few_patients_have_no_interval_and_one_sentence_says_why() -> None:
    few = model("a", 1.0) | {
        "auc_low": None,
        "auc_high": None,
        "reason": "an interval needs at least 5 patients; got 3",
    }
    output = table1_note({"models": [few, few | {"name": "b"}], "evaluation": {}})
    assert "Without interval: an interval needs at least 5 patients; got 3." in output
    assert "computed by patient" not in output
    seeds = table1_note({"models": [few | {"seeds": 5}], "evaluation": {}})
    assert "needs at least 3 seeds" not in seeds and "got 3." in seeds
    assert "needs at least 3 seeds" in table1_note({"models": [model("a", 0.8, seeds=2)], "evaluation": {}})
    assert (
        who_won({"models": [few, few | {"name": "b"}]})
        == "No winner can be named: “a” and “b” have the same AUC, 1.000."
    )
