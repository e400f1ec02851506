"""Runs side by side: paired only where both judged the same images, and then by evaluate's own numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import cxrlens
from cxrlens.evaluate.comparisons import holm
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.pipeline.compare_runs import run_names
from cxrlens.report.runs_compared import LIMITS, difference_cells, side_by_side_cells, to_markdown
from support.handmade_run import IMAGES, cohort, predictions, run_folder


def two(tmp_path: Path, **other: object) -> list[Path]:
    one = run_folder(tmp_path / "one", predictions(0))
    return [one, run_folder(tmp_path / "two", predictions(1, (1.5, 0.2)), **other)]  # type: ignore[arg-type]


def test_the_differences_are_those_of_evaluate_on_the_same_predictions(tmp_path: Path) -> None:
    compared = cxrlens.compare_runs(two(tmp_path))
    assert [each.model for each in compared.differences] == ["weak", "strong"] and not compared.apart
    for each in compared.differences:
        parts = [
            made[made["model"] == each.model].assign(model=name)
            for name, made in (("one", predictions(0)), ("two", predictions(1, (1.5, 0.2))))
        ]
        evaluated = evaluate(pd.concat(parts), None, cohort())
        (expected,) = evaluated.comparisons
        for name in ("difference", "low", "high", "p"):
            assert getattr(each.change, name) == pytest.approx(getattr(expected, name), abs=1e-12), name
        aucs = [row.auc for row in compared.aucs if row.model == each.model]
        assert each.change.difference == pytest.approx(aucs[0] - aucs[1], abs=1e-6)
        assert each.change.low < each.change.difference < each.change.high


def test_holm_counts_every_difference(tmp_path: Path) -> None:
    folders = [*two(tmp_path), run_folder(tmp_path / "three", predictions(2, (0.1, 3.0)))]
    result = [each.change for each in cxrlens.compare_runs(folders).differences]
    assert len(result) == 6
    assert [each.p_holm for each in result] == holm([each.p for each in result]).tolist()
    assert any(each.p_holm > each.p for each in result)


def test_turned_round_the_sign_turns(tmp_path: Path) -> None:
    folders = two(tmp_path)
    there, back = (cxrlens.compare_runs(each).differences[1].change for each in (folders, folders[::-1]))
    assert (there.a, back.a) == ("one", "two") and there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_a_run_and_its_copy_do_not_differ(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / name) for name in ("one", "two")]
    compared = cxrlens.compare_runs(folders)
    assert all(each.change.difference == 0 and each.change.p_holm == 1 for each in compared.differences)
    assert not compared.settings


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": {IMAGES[0]: "other.png"}}, r"validation images differ \(40 and 40, 39 of them in both\)"),
        ({"patient": {"MRN-7003": "MRN-7004"}}, r"different patients \(2 of 40\)"),
    ],
)
def test_other_images_are_refused_and_stand_side_by_side_only(tmp_path: Path, change: dict, reason: str) -> None:
    one = run_folder(tmp_path / "one")
    two = run_folder(tmp_path / "two", predictions().replace(change))
    compared = cxrlens.compare_runs([one, two])
    assert not compared.differences and len(compared.aucs) == 4
    assert re.search(reason, compared.apart[0].reason)
    assert "cannot be compared pairwise" in to_markdown(compared) and "on the same images" not in to_markdown(compared)


def test_a_dash_of_an_auc_or_difference_has_its_reason_below(tmp_path: Path) -> None:
    few = cohort()["label"].eq(1) | cohort()["image"].isin(IMAGES[:10:3])  # 4 negative images, of 4 patients
    folders = [
        run_folder(tmp_path / name, made[made["image"].isin(cohort()["image"][few])])
        for name, made in (("one", predictions(0)), ("two", predictions(1)))
    ]
    text, reason = to_markdown(cxrlens.compare_runs(folders)), "4 with negative images"
    for who in ("one: ", "two: ", "one − two: "):
        (line,) = [line for line in text.splitlines() if line.startswith(f"- {who}")]
        assert reason in line
    assert reason not in to_markdown(cxrlens.compare_runs(two(tmp_path)))


def test_other_labels_are_refused(tmp_path: Path) -> None:
    made = predictions()
    made.loc[made["image"] == IMAGES[0], "label"] = 1.0
    compared = cxrlens.compare_runs([run_folder(tmp_path / "one"), run_folder(tmp_path / "two", made)])
    assert compared.apart[0].reason == "images of the same name have different labels (1 of 40)"


def test_other_files_of_the_same_names_are_refused(tmp_path: Path) -> None:
    table = cohort()
    table.loc[3, "sha256"] = "f" * 64
    table.loc[4, "sha256"] = None  # unknown speaks for nothing
    compared = cxrlens.compare_runs([run_folder(tmp_path / "one"), run_folder(tmp_path / "two", table=table)])
    assert (
        not compared.differences
        and compared.apart[0].reason == "images of the same name have different files (1 of 40)"
    )


def test_models_of_other_names_are_no_pair(tmp_path: Path) -> None:
    made = predictions().replace({"model": {"weak": "new", "strong": "newer"}})
    compared = cxrlens.compare_runs([run_folder(tmp_path / "one"), run_folder(tmp_path / "two", made)])
    assert compared.apart[0].reason == "no model has the same name in both"
    header, rows = side_by_side_cells(compared)
    assert header == ["AUC [interval]", "one", "two"] and [row[1] for row in rows if row[0] == "new"] == ["–"]


def test_merged_patients_are_told(tmp_path: Path) -> None:
    folders = two(tmp_path)
    output = json.loads((folders[0] / "results.json").read_text(encoding="utf-8"))
    for model in output["models"]:
        model["patients"] = 19
    (folders[0] / "results.json").write_text(json.dumps(output), encoding="utf-8")
    (note,) = cxrlens.compare_runs(folders).notes
    assert note.startswith("one counts its 20 patient ids as 19 patients")


def test_settings_that_differ_are_listed_and_no_others(tmp_path: Path) -> None:
    folders = two(tmp_path, row="epochs = 7\nhead = 'linear'")
    settings = cxrlens.compare_runs(folders).settings
    assert settings.keys() == {"models.strong.epochs", "models.strong.head"}
    assert settings["models.strong.epochs"][1] == 7 and settings["models.strong.head"][1] == "linear"


def test_a_model_of_one_study_is_one_setting(tmp_path: Path) -> None:
    row = '[[models]]\nname = "third"\nbackbone = "tf_efficientnet_lite0"'
    assert cxrlens.compare_runs(two(tmp_path, row=row)).settings == {"models.third": (None, "in the study")}


def test_the_table_has_a_row_an_auc_and_a_row_a_difference(tmp_path: Path) -> None:
    compared = cxrlens.compare_runs(two(tmp_path))
    table = compared.table()
    assert table["what"].tolist() == ["auc"] * 4 + ["difference"] * 2
    assert table.loc[5, "against"] == "two" and table.loc[5, "value"] == compared.differences[1].change.difference
    assert table.loc[0, "split"] == "patient" and table["images"].tolist() == [40] * 6
    _, rows = difference_cells(compared)
    assert rows[0][:2] == ["weak", "one − two"] and LIMITS in to_markdown(compared)


def test_plain_values_are_json(tmp_path: Path) -> None:
    output = json.loads(json.dumps(cxrlens.compare_runs(two(tmp_path)).to_json(), allow_nan=False))
    assert output["runs"][0]["leaking"] == 3 and output["differences"][0]["a"] == "one" and output["apart"] == []


def test_too_few_runs_and_one_run_twice_are_refused(tmp_path: Path) -> None:
    one = run_folder(tmp_path / "one")
    with pytest.raises(cxrlens.UserError, match="at least two runs; got 1"):
        cxrlens.compare_runs([one])
    with pytest.raises(cxrlens.UserError, match="cannot be compared with itself"):
        cxrlens.compare_runs([one, one / ".." / "one"])
    with pytest.raises(cxrlens.UserError, match=r"no results\.json"):
        cxrlens.compare_runs([one, tmp_path])


def test_folders_of_one_name_are_told_apart() -> None:
    assert run_names([Path("/a/x/demo"), Path("/b/x/demo"), Path("/c")]) == ["a/x/demo", "b/x/demo", "/c"]
