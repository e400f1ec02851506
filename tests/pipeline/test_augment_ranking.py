"""Ranking augmentations from kept predictions: by hand, against `cxrlens auc`, and at the edges."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import auc, auc_difference, auc_interval
from cxrlens.evaluate.comparisons import holm
from cxrlens.pipeline.auc_table import auc_table
from cxrlens.pipeline.augment_ranking import OPTIMISTIC, Ranking, difference_cells, rank_augmentations, ranking_cells

SHIFTS = {"none": 0.6, "zoom": 1.0, "flip": 0.5}


def predictions(
    shifts: dict[str, float] = SHIFTS, folds: int = 3, patients: tuple[int, int] = (18, 15), images: int = 2
) -> pd.DataFrame:
    """Scores with a patient effect; all images of a patient are of one class and in one fold."""
    rng = np.random.default_rng(4)
    labels = np.repeat([1, 0], patients)
    base = rng.normal(size=len(labels))
    rows = []
    for name, shift in shifts.items():
        own = base + rng.normal(size=len(labels)) / 2
        for patient, label in enumerate(labels):
            for image in range(images):
                logit = own[patient] + shift * label + rng.normal() / 2
                rows.append((name, 3, patient % folds, f"{patient}-{image}.png", f"P{patient}", label, 0.5, logit))
    columns = ["model", "seed", "fold", "image", "patient", "label", "probability", "logit"]
    return pd.DataFrame(rows, columns=columns)


def trials(table: pd.DataFrame) -> pd.DataFrame:
    words = [{"combination": name, "augmentation": f"{name} = 1"} for name in table["model"].unique()]
    return pd.DataFrame(words)


def rank(table: pd.DataFrame, **options: Any) -> Ranking:
    return rank_augmentations(trials(table), table, **options)


def by_name(ranking: Ranking) -> pd.DataFrame:
    return ranking.table.set_index("combination")


def test_every_number_is_that_of_cxrlens_auc_for_the_same_predictions(tmp_path: Path):
    table = predictions()
    table.to_csv(tmp_path / "predictions.csv", index=False)
    expected = auc_table(tmp_path / "predictions.csv", level=0.9)
    ranking = by_name(rank(table, level=0.9))
    for name, interval in expected.models.items():
        row = ranking.loc[name]
        assert (row["auc"], row["auc_low"], row["auc_high"]) == (interval.auc, interval.low, interval.high)
        assert (row["auc_train_low"], row["auc_train_high"]) == (interval.train_low, interval.train_high)
    pairs = {pair.b: pair for pair in expected.differences if pair.a == "none"}
    assert len(pairs) == 2
    for name, pair in pairs.items():
        row = ranking.loc[name]
        assert row[["difference", "low", "high"]].tolist() == pytest.approx([-pair.difference, -pair.high, -pair.low])
        assert (row["p"], row["train_p"]) == (pytest.approx(pair.p), pytest.approx(pair.train_p))
        assert row[["train_low", "train_high"]].tolist() == pytest.approx([-pair.train_high, -pair.train_low])


def test_with_one_split_the_numbers_are_those_of_auc_interval_and_auc_difference():
    table = predictions(folds=1)
    none, zoom = (table[table["model"] == name] for name in ("none", "zoom"))
    row = by_name(rank(table, optimistic=True)).loc["zoom"]
    own = auc_interval(zoom["label"], zoom["logit"], zoom["patient"])
    assert (row["auc"], row["auc_low"], row["auc_high"]) == pytest.approx((own.auc, own.low, own.high))
    gap = auc_difference(zoom["label"], zoom["logit"].to_numpy(), none["logit"].to_numpy(), zoom["patient"])
    assert (row["difference"], row["low"], row["high"], row["p"]) == pytest.approx(
        (gap.difference, gap.low, gap.high, gap.p)
    )
    assert math.isnan(row["train_low"]) and math.isnan(row["auc_train_low"]) and math.isnan(row["sd"])


def test_the_highest_auc_comes_first_with_its_spread_over_folds_and_the_folds_above_none():
    table = predictions()
    result = by_name(rank(table))
    assert result["auc"].is_monotonic_decreasing and result.index[0] == "zoom"
    aucs = {
        name: [auc(fold["label"], fold["logit"]) for _, fold in rows.groupby("fold")]
        for name, rows in table.groupby("model")
    }
    for name, of_folds in aucs.items():
        assert result.loc[name, "sd"] == pytest.approx(np.std(of_folds, ddof=1))
        assert result.loc[name, "better"] == sum(np.array(of_folds) > np.array(aucs["none"]))
    assert result["folds"].tolist() == [3, 3, 3]
    assert result.loc["zoom", "augmentation"] == "zoom = 1"
    assert set(result["chosen_on"]) == {"inner folds of the training set"}


def test_images_of_one_patient_are_dependent():
    table = predictions()
    apart = table.assign(patient=table["image"])
    one, other = (by_name(rank(each)).loc["none"] for each in (table, apart))
    assert one["auc"] == other["auc"]
    assert one["auc_high"] - one["auc_low"] > 1.1 * (other["auc_high"] - other["auc_low"])


def test_none_is_not_compared_with_itself_and_holm_counts_the_comparisons_with_none_only():
    result = by_name(rank(predictions()))
    assert result.loc["none", ["low", "high", "p", "p_holm", "train_p"]].isna().all()
    others = result.drop(index="none")
    assert len(others) == 2
    assert others["p_holm"].tolist() == pytest.approx(holm(others["p"]))
    assert others["train_p_holm"].tolist() == pytest.approx(holm(others["train_p"]))


def test_the_interval_over_patients_and_folds_decides_where_there_is_one():
    table = predictions({"none": 0.0, "zoom": 2.5}, patients=(40, 40))
    ranking = rank(table)
    assert ranking.sentence.endswith(
        "above none; significantly different from none over patients and folds after Holm's correction: zoom"
    )
    # As good as none in one fold, much better in two: by patient the mean is clear, over trainings it is not.
    unstable = table.copy()
    first = unstable["fold"] == 0
    none = unstable.loc[first & (unstable["model"] == "none"), "logit"].to_numpy()
    unstable.loc[first & (unstable["model"] == "zoom"), "logit"] = none
    row = by_name(rank(unstable)).loc["zoom"]
    assert row["p_holm"] < 0.05 < row["train_p_holm"]
    assert "no augmentation is significantly different from none over patients and folds" in rank(unstable).sentence
    two = rank(predictions({"none": 0.0, "zoom": 2.5}, folds=2, patients=(40, 40)))
    assert two.sentence.endswith("significantly different from none by patient after Holm's correction: zoom")
    assert "needs at least 3 folds" in two.note and "incl. retraining" not in " ".join(ranking_cells(two)[0])


def test_the_best_may_be_none():
    assert rank(predictions({"none": 1.0, "zoom": 0.0})).sentence.startswith("none has the highest AUC, 0.")
    alone = rank(predictions({"none": 1.0}))
    assert alone.sentence.endswith("there is nothing to compare it with") and difference_cells(alone)[1] == []


def test_with_fewer_than_5_patients_of_a_class_a_dash_and_the_reason_stand_for_the_interval():
    ranking = rank(predictions(patients=(18, 4)))
    reason = "an interval needs at least 5 patients of each class; got 18 with positive and 4 with negative images"
    assert set(ranking.table["reason"]) == {reason}
    assert ranking.table[["auc_low", "low", "p", "train_low"]].isna().all(axis=None)
    assert ranking.sentence.endswith(f"no augmentation can be told from none: {reason}")
    assert ranking.note.endswith(f"Without interval: {reason}.")
    assert all(row[1].endswith(" –") for row in ranking_cells(ranking)[1])
    assert all(row[1].endswith(" –") and row[2:] == ["–", "–"] for row in difference_cells(ranking)[1])


def test_with_5_to_9_patients_of_a_class_an_interval_is_called_rough():
    ranking = rank(predictions(patients=(18, 9)))
    assert ranking.table["rough"].all() and "“Rough”" in ranking.note
    assert all(row[1].endswith("] rough") for row in ranking_cells(ranking)[1])
    assert not rank(predictions(patients=(18, 10))).table["rough"].any()


def test_a_fold_of_one_class_has_no_auc_and_the_others_count():
    table = predictions()
    positive_only = table[(table["fold"] != 2) | (table["label"] == 1)]
    without = table[table["fold"] != 2]
    one, other = by_name(rank(positive_only)), by_name(rank(without))
    assert one["folds"].tolist() == [2, 2, 2]
    shared = ["auc", "auc_low", "auc_high", "difference", "low", "high", "p", "p_holm", "sd", "better"]
    assert one[shared].to_numpy(float) == pytest.approx(other[shared].to_numpy(float), nan_ok=True)
    only = [table["fold"].eq(fold) & table["label"].eq(label) for fold, label in ((0, 1), (1, 0))]
    with pytest.raises(UserError, match="no fold holds images of both classes"):
        rank(table[only[0] | only[1]])


def test_images_without_a_label_are_left_out_and_counted():
    table = predictions()
    unlabelled = table["image"].isin(["0-0.png", "20-1.png"])
    partly = table.assign(label=table["label"].where(~unlabelled))
    pd.testing.assert_frame_equal(rank(partly).table, rank(table[~unlabelled]).table)
    assert "2 images without a label are left out." in rank(partly).note
    one = table.assign(label=table["label"].where(table["image"] != "0-0.png"))
    assert "1 image without a label is left out." in rank(one).note


def test_the_papers_way_is_labelled():
    ranking = rank(predictions(folds=1), optimistic=True)
    assert ranking.sentence.endswith(f"({OPTIMISTIC})")
    assert set(ranking.table["chosen_on"]) == {f"validation ({OPTIMISTIC})"}


def test_the_text_says_which_interval_it_is():
    ranking = rank(predictions(), level=0.9)
    header, rows = ranking_cells(ranking)
    assert header == ["augmentation", "AUC [90%]", "incl. retraining", "SD over folds", "folds above none"]
    assert [row[0] for row in rows] == ranking.table["combination"].tolist()
    assert difference_cells(ranking)[0][1] == "difference [90%]" and len(difference_cells(ranking)[1]) == 2
    assert "AUC on 66 images (36 positive, 30 negative) of 33 patients in 3 folds" in ranking.note
    text = repr(ranking)
    for words in ("by patient", "90% intervals", "incl. retraining", ranking.sentence, "from none"):
        assert words in text


def test_combinations_of_other_images_are_refused():
    table = predictions()
    with pytest.raises(UserError, match="compared on the same images"):
        rank(table[(table["model"] != "zoom") | (table["fold"] != 1)])
    with pytest.raises(AssertionError, match="compared with none"):
        rank(table[table["model"] != "none"])
