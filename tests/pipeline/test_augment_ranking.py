"""Ranking augmentations: by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from cxrlens.pipeline.augment_search import OPTIMISTIC, rank_augmentations


def trials(aucs: dict[str, list[float]], train: int = 80, validation: int = 20) -> pd.DataFrame:
    rows = [
        {"combination": name, "augmentation": f"{name} = 1", "fold": fold, "auc": auc, "train": train}
        for name, values in aucs.items()
        for fold, auc in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(validation=validation)


def test_the_highest_mean_comes_first_with_its_spread_and_its_difference_from_none():
    ranking = rank_augmentations(trials({"none": [0.5, 0.6, 0.7], "zoom": [0.6, 0.8, 0.7], "flip": [0.4, 0.5, 0.75]}))
    table = ranking.table.set_index("combination")
    assert list(table.index) == ["zoom", "none", "flip"]
    assert table["auc"].tolist() == pytest.approx([0.7, 0.6, 0.55])
    assert table.loc["none", "sd"] == pytest.approx(0.1)
    assert table["difference"].tolist() == pytest.approx([0.1, 0.0, -0.05])
    assert table["better"].tolist() == [2, 0, 1]
    assert table.loc["zoom", "augmentation"] == "zoom = 1"
    assert set(table["chosen_on"]) == {"inner folds of the training set"}


def test_the_interval_is_nadeau_and_bengios():
    none, zoom = [0.5, 0.6, 0.7], [0.6, 0.8, 0.7]  # differences 0.1, 0.2, 0: mean 0.1, variance 0.01
    row = rank_augmentations(trials({"none": none, "zoom": zoom})).table.iloc[0]
    error = math.sqrt(0.01 * (1 / 3 + 20 / 80))
    assert row["high"] - row["difference"] == pytest.approx(error * stats.t.ppf(0.975, 2))
    assert row["low"] + row["high"] == pytest.approx(0.2)
    assert row["p"] == pytest.approx(2 * stats.t.sf(0.1 / error, 2))
    # Without the correction it is the ordinary paired t test.
    plain = rank_augmentations(trials({"none": none, "zoom": zoom}, validation=0)).table.iloc[0]
    assert plain["p"] == pytest.approx(float(stats.ttest_rel(zoom, none).pvalue))


def test_none_is_not_compared_with_itself_and_holm_counts_the_others():
    table = rank_augmentations(
        trials({"none": [0.5, 0.6, 0.7], "zoom": [0.6, 0.8, 0.7], "flip": [0.4, 0.5, 0.75]})
    ).table.set_index("combination")
    assert math.isnan(table.loc["none", "p"]) and math.isnan(table.loc["none", "low"])
    assert table.loc["zoom", "p_holm"] == pytest.approx(min(1, 2 * min(table["p"].dropna())))


def test_the_sentence_names_only_what_can_be_told_from_none():
    same = rank_augmentations(trials({"none": [0.5, 0.6, 0.7], "zoom": [0.6, 0.8, 0.7]}))
    assert same.sentence == (
        "zoom has the highest mean AUC, 0.700, +0.100 above none; "
        "no combination is significantly different from none after Holm's correction"
    )
    clear = {"none": [0.5, 0.5, 0.5, 0.5, 0.5], "zoom": [0.7, 0.71, 0.7, 0.69, 0.7], "flip": [0.5, 0.4, 0.6, 0.5, 0.5]}
    assert rank_augmentations(trials(clear)).sentence.endswith("different from none after Holm's correction: zoom")
    worse = rank_augmentations(trials({"none": [0.5, 0.6], "zoom": [0.4, 0.5]}))
    assert worse.sentence.startswith("none has the highest mean AUC, 0.550; ")


def test_equal_differences_give_no_interval_rather_than_one_of_no_width():
    row = rank_augmentations(trials({"none": [0.5, 0.5], "zoom": [0.75, 0.75]})).table.iloc[0]
    assert row["difference"] == 0.25 and math.isnan(row["low"]) and math.isnan(row["p"])


def test_one_fold_gives_no_interval_and_the_papers_way_is_labelled():
    ranking = rank_augmentations(trials({"none": [0.6], "zoom": [0.7]}), optimistic=True)
    assert ranking.sentence == (
        "zoom has the highest mean AUC, 0.700, +0.100 above none; with one fold there is no interval "
        "(optimistic: chosen on the images that also evaluate it)"
    )
    assert ranking.table["sd"].isna().all() and ranking.table["low"].isna().all()
    assert set(ranking.table["chosen_on"]) == {f"validation ({OPTIMISTIC})"}


def test_a_combination_that_lacks_a_fold_is_our_own_mistake():
    with pytest.raises(AssertionError, match="every combination on every fold"):
        rank_augmentations(trials({"none": [0.5, 0.6], "zoom": [0.7]}))
