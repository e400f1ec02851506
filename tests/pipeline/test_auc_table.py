import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import cxrlens
from cxrlens.cli.main import app


@pytest.fixture
def wide() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = np.tile([1, 0, 1], 20)
    scores = {name: rng.normal(size=60) + gain * label for name, gain in (("ours", 2.0), ("theirs", 0.3))}
    return pd.DataFrame({"Patient ID": [f"p{k // 2}" for k in range(60)], "y_true": label, **scores})


def written(table: pd.DataFrame, folder: Path, **options: str) -> Path:
    table.to_csv(folder / "table.csv", index=False, **options)
    return folder / "table.csv"


def test_a_table_that_cxrlens_never_made_gives_what_the_functions_give(wide: pd.DataFrame, tmp_path: Path) -> None:
    path = written(wide, tmp_path, sep=";")
    outcome = cxrlens.auc_table(path, ["ours", "theirs"])
    one = cxrlens.auc_interval(wide["y_true"], wide["ours"], wide["Patient ID"])
    gap = cxrlens.auc_difference(wide["y_true"], wide["ours"], wide["theirs"], wide["Patient ID"])
    assert (outcome.models["ours"].auc, outcome.models["ours"].low) == pytest.approx((one.auc, one.low))
    (pair,) = outcome.differences
    assert (pair.a, pair.b) == ("ours", "theirs")
    assert (pair.difference, pair.low, pair.high, pair.p) == pytest.approx((gap.difference, gap.low, gap.high, gap.p))
    assert (
        outcome.columns == {"label": "y_true", "patient": "Patient ID", "score": "ours, theirs"} and not outcome.notes
    )


def test_a_row_a_model_training_and_image_is_the_same_and_trainings_are_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    label = np.tile([1, 0], 25)
    scores = {name: rng.normal(size=(3, 50)) + label for name in ("a", "b")}
    long = pd.concat(
        pd.DataFrame(
            {"model": name, "seed": seed, "image": range(50), "patient": range(50), "label": label, "logit": s}
        )
        for name, each in scores.items()
        for seed, s in enumerate(each)
    ).sample(frac=1, random_state=0)
    outcome = cxrlens.auc_table(written(long, tmp_path))
    gap = cxrlens.auc_difference(label, scores["a"], scores["b"], range(50))
    pair = next(each for each in outcome.differences)
    sign = 1 if pair.a == "a" else -1
    assert (sign * pair.difference, pair.train_p) == pytest.approx((gap.difference, gap.train_p))
    assert outcome.models["a"].train_low < outcome.models["a"].low and outcome.models["a"].positives == 25


def test_the_command_prints_both_and_json_is_one_object(wide: pd.DataFrame, tmp_path: Path) -> None:
    path = written(wide.drop(columns="Patient ID"), tmp_path)
    command = ["auc", str(path), "--score", "ours", "--score", "theirs"]
    text = CliRunner().invoke(app, command)
    assert text.exit_code == 0, text.output
    for part in ("ours − theirs", "p (Holm)", "every image counts as a patient of its own", "never for diagnosis"):
        assert part in " ".join(text.output.split()).replace("ours − theirs", "ours − theirs")
    output = json.loads(CliRunner().invoke(app, [*command, "--json"]).output)
    assert [model["name"] for model in output["models"]] == ["ours", "theirs"]
    assert {"auc", "low", "high", "p", "method", "positives", "negatives", "patients"} <= output["models"][0].keys()
    assert len(output["differences"]) == 1 and output["level"] == 0.95


def test_few_patients_have_a_dash_and_the_reason(wide: pd.DataFrame, tmp_path: Path) -> None:
    few = wide[(wide["y_true"] == 1) | (wide.index < 12)]
    text = CliRunner().invoke(app, ["auc", str(written(few, tmp_path)), "--score", "ours"]).output
    assert "with positive and 4 with negative images" in " ".join(text.split())


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        (lambda t: t, {}, "no column of scores was found; name one for each model with --score. Columns: ours, theirs"),
        (lambda t: t.rename(columns={"y_true": "z"}), {"scores": ["ours"]}, "no column of labels was found"),
        (lambda t: t, {"scores": ["our"]}, r"no column 'our' \(did you mean 'ours'\?\)"),
        (lambda t: t.assign(ours="high"), {"scores": ["ours"]}, "line 2: a score is a finite number; column 'ours'"),
        (lambda t: t.assign(y_true=2), {"scores": ["ours"]}, "line 2: a label is 1 or 0.*got '2'"),
        (lambda t: t.assign(y_true=1), {"scores": ["ours"]}, "got 60 positive and 0 negative"),
        (lambda t: t.assign(model="m"), {"scores": ["ours"]}, "needs a column of image names; name it with --image"),
        (lambda t: t, {"scores": ["ours"], "level": 95}, "level lies between 0 and 1"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(wide, tmp_path, change, options, match) -> None:
    with pytest.raises(cxrlens.UserError, match=match):
        cxrlens.auc_table(written(change(wide), tmp_path), **options)


def test_one_column_of_scores_may_be_a_text_and_a_row_without_a_label_needs_no_score(wide, tmp_path) -> None:
    without = wide.astype({"y_true": object, "ours": object})
    without.loc[3, ["y_true", "ours"]] = ""
    outcome = cxrlens.auc_table(written(without, tmp_path), "ours").models["ours"]
    assert outcome == cxrlens.auc_table(written(wide.drop(3), tmp_path), ["ours"]).models["ours"]


def test_an_image_without_a_label_or_a_patient_is_counted(wide: pd.DataFrame, tmp_path: Path) -> None:
    wide = wide.astype({"y_true": object})
    wide.loc[3, "y_true"], wide.loc[[7, 8], "Patient ID"] = "", ""
    outcome = cxrlens.auc_table(written(wide, tmp_path), ["ours"])
    assert any(note.startswith("2 rows name no patient") for note in outcome.notes)
    assert any(note.startswith("1 rows or images without a label") for note in outcome.notes)
    assert outcome.models["ours"].positives + outcome.models["ours"].negatives == 59


@pytest.mark.parametrize("word", ["unknown", "N/A", "not stated", "?"])
def test_patients_that_are_only_said_to_be_unknown_are_not_one_patient(wide, tmp_path, word: str) -> None:
    blank, text = (
        wide.assign(**{"Patient ID": wide["Patient ID"].where(wide.index < 30, other)}) for other in ("", word)
    )
    expected = cxrlens.auc_table(written(blank, tmp_path), ["ours"]).models["ours"]
    outcome = cxrlens.auc_table(written(text, tmp_path), ["ours"])
    assert outcome.models["ours"] == expected and expected.patients == 15 + 30
    assert outcome.notes == (
        f"30 rows name no patient ('{word}'): each of these images counts as a patient of its own",
    )


@pytest.mark.parametrize("name", ["PID", "Patient No.", "patient_number"])
def test_a_column_of_patients_has_the_names_that_a_list_of_images_knows(wide, tmp_path, name: str) -> None:
    outcome = cxrlens.auc_table(written(wide.rename(columns={"Patient ID": name}), tmp_path), ["ours"])
    assert outcome.columns["patient"] == name and outcome.models["ours"].patients == 30


@pytest.mark.parametrize("word", ["n/a", "unknown", "-", "NaN"])
def test_a_label_that_is_only_said_to_be_unknown_is_left_out(wide, tmp_path, word: str) -> None:
    wide = wide.astype({"y_true": object})
    wide.loc[3, "y_true"] = word
    outcome = cxrlens.auc_table(written(wide, tmp_path), ["ours"])
    assert outcome.notes == ("1 rows or images without a label are left out",)
    assert outcome.models["ours"].positives + outcome.models["ours"].negatives == 59


@pytest.mark.parametrize(
    ("columns", "role", "used", "others"),
    [
        ({"probability": lambda t: 1 / (1 + np.exp(-t["ours"])), "logit": lambda t: t["ours"]}, "score", "logit",
         ["probability"]),
        ({"score": lambda t: t["ours"], "prediction": lambda t: t["theirs"], "pred": lambda t: "high"}, "score",
         "score", ["prediction"]),
        ({"logit": lambda t: t["ours"], "group": lambda t: range(60)}, "patient", "Patient ID", ["group"]),
        ({"logit": lambda t: t["ours"], "patient_id": lambda t: range(60)}, "patient", "Patient ID", ["patient_id"]),
        ({"logit": lambda t: t["ours"], "target": lambda t: t["y_true"]}, "label", "y_true", ["target"]),
        ({"logit": lambda t: t["ours"], "class": lambda t: "PA"}, "label", "y_true", []),
    ],
)  # fmt: skip
def test_a_column_chosen_among_several_is_said_with_the_others_and_the_option(
    wide: pd.DataFrame, tmp_path: Path, columns, role: str, used: str, others: list[str]
) -> None:
    path = written(wide.assign(**columns).drop(columns=["ours", "theirs"]), tmp_path)
    result = cxrlens.auc_table(path)
    assert result.columns[role] == used and list(result.other_columns.get(role, ())) == others
    assert set(result.other_columns) == ({role} if others else set())
    printed = " ".join(CliRunner().invoke(app, ["auc", str(path)]).output.split())
    record = json.loads(CliRunner().invoke(app, ["auc", str(path), "--json"]).output)
    assert record["other_columns"] == ({role: others} if others else {})
    for other in others:
        sentence = f"{role}: the column '{used}' was used; the table also has '{other}', which --{role} chooses"
        assert f"note: {sentence}." in printed and record["choices"] == [sentence]
    named = cxrlens.auc_table(path, **{"scores" if role == "score" else role: used})
    assert role not in named.other_columns, "what is named by the user was not chosen"


def test_two_columns_of_labels_that_contradict_each_other_are_an_error(wide: pd.DataFrame, tmp_path: Path) -> None:
    path = written(wide.assign(logit=wide["ours"], target=1 - wide["y_true"]), tmp_path)
    with pytest.raises(cxrlens.UserError, match=r"'y_true' and 'target' could both .* differ in 60 rows; .* --label"):
        cxrlens.auc_table(path)
    assert cxrlens.auc_table(path, label="target").columns["label"] == "target"
