import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import auc
from cxrlens.evaluate.delong import delong, delong_paired
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.evaluate.networks import Network
from cxrlens.evaluate.score import model_delong

N = 60


def table(models=("weak", "strong"), seeds=(0,), folds=1, strength=(0.5, 2.0), n=N):
    generator = np.random.default_rng(0)
    labels = (np.arange(n) % 4 > 0).astype(float)
    parts = []
    for name, effect in zip(models, strength, strict=True):
        for seed in seeds:
            logit = effect * labels + generator.normal(size=n)
            parts.append(
                pd.DataFrame(
                    {
                        "model": name,
                        "seed": seed,
                        "fold": np.arange(n) // 4 % folds,
                        "image": [f"{i}.png" for i in range(n)],
                        "patient": [f"p{i // 2}" for i in range(n)],
                        "label": labels,
                        "probability": expit(logit),
                        "logit": logit,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def cohort(n=N):
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(n)],
            "sex": ["F", "M", None] * (n // 3),
            "age": [30.0, 50.0, 70.0, np.nan] * (n // 4),
            "view": ["PA"] * (n - 2) + ["AP"] * 2,
            "source": None,
        }
    )


def run(predictions, **options):
    return evaluate(predictions, predictions, cohort(), **{"draws": 200, **options})


def test_one_network_gets_its_plain_auc_and_delongs_interval():
    predictions = table()
    weak = predictions[predictions["model"] == "weak"]
    result = run(predictions)
    model = result.models[0]
    assert model.auc == pytest.approx(auc(weak["label"], weak["logit"]))
    expected = delong(weak["label"], weak["logit"])
    assert (model.delong_low, model.delong_high) == pytest.approx((expected.low, expected.high))
    assert model.auc_low < model.auc < model.auc_high
    strong = predictions[predictions["model"] == "strong"]
    assert result.comparisons[0].p_delong == pytest.approx(
        delong_paired(weak["label"], weak["logit"], strong["logit"]).p
    )
    assert (model.images, model.positive, model.negative, model.patients) == (60, 45, 15, 30)


def test_seeds_are_averaged_and_folds_weighed_by_their_pairs():
    predictions = table(seeds=(3, 4, 5), folds=3)
    model = run(predictions).models[1]
    means = []
    for seed in (3, 4, 5):
        part = predictions[(predictions["model"] == "strong") & (predictions["seed"] == seed)]
        pairs, values = [], []
        for _, fold in part.groupby("fold"):
            pairs.append(fold["label"].sum() * (1 - fold["label"]).sum())
            values.append(roc_auc_score(fold["label"], fold["logit"]))
        means.append(np.average(values, weights=pairs))
    assert model.auc == pytest.approx(np.mean(means))
    assert [(s.seed, s.auc) for s in model.seed_aucs] == [
        (s, pytest.approx(m)) for s, m in zip((3, 4, 5), means, strict=True)
    ]
    assert model.auc_seed_sd == pytest.approx(np.std(means, ddof=1))
    assert (model.seeds, model.folds) == (3, 3)


def test_logits_of_two_networks_are_never_ranked_against_each_other():
    predictions = table(folds=2)
    shifted = predictions.assign(logit=predictions["logit"] + 100 * predictions["fold"])
    assert [m.auc for m in run(shifted).models] == pytest.approx([m.auc for m in run(predictions).models])


def test_a_saturated_probability_does_not_tie_the_ranks():
    predictions = table().assign(probability=1.0)
    assert run(predictions).models[0].auc == run(table()).models[0].auc


def test_the_same_seed_gives_the_same_json_and_it_is_json():
    predictions = table(seeds=(0, 1))
    first, again = (json.dumps(run(predictions).to_json(), allow_nan=False) for _ in range(2))
    assert first == again
    found = json.loads(first)
    assert {"name", "auc", "auc_low", "auc_high", "delong_low", "delong_high", "seeds"} <= set(found["models"][0])
    assert {"a", "b", "difference", "low", "high", "p", "p_holm"} <= set(found["comparisons"][0])
    assert found["models"][0]["calibration"].keys() >= {"intercept", "slope", "brier"}
    assert found != run(predictions, seed=1).to_json()


def test_the_models_come_in_the_order_asked_for():
    names = [m.name for m in run(table(), model_order=["strong", "weak"]).models]
    assert names == ["strong", "weak"]
    with pytest.raises(UserError, match="no predictions of the model other"):
        run(table(), model_order=["other"])


def test_a_perfect_and_a_constant_model_are_given_with_doubt():
    predictions = table()
    perfect = predictions["model"] == "strong"
    predictions["logit"] = np.where(perfect, predictions["label"] * 10 - 5, 0.0)
    blind, sure = run(predictions).models
    assert sure.auc == 1 and sure.auc_low < 0.9 and sure.delong_low < 0.9
    assert math.isnan(sure.calibration.slope) and "separate" in sure.calibration.reason
    assert blind.auc == 0.5 and blind.auc_low < 0.45 and blind.auc_high > 0.55


def test_the_threshold_comes_from_the_training_side_only():
    predictions = table()
    training = predictions.assign(logit=predictions["label"] * 100 - 42)  # midway between -42 and 58: 8
    result = evaluate(predictions, training, cohort(), draws=200).models[1].threshold
    strong = predictions[predictions["model"] == "strong"]
    called = strong["logit"] >= 8
    assert result.value == pytest.approx(expit(8.0))
    assert result.sensitivity == called[strong["label"] == 1].mean()
    assert result.specificity == (~called[strong["label"] == 0]).mean()
    without = evaluate(predictions, None, cohort(), draws=200).models[1].threshold
    assert math.isnan(without.sensitivity) and "no training predictions" in without.reason


def test_every_group_has_a_row_and_a_small_one_says_why_it_is_empty():
    predictions = table()
    rows = run(predictions).models[1].subgroups
    assert [(r.by, r.group) for r in rows] == [
        ("sex", "F"), ("sex", "M"), ("sex", "unknown"),
        ("age", "18 to 39"), ("age", "40 to 59"), ("age", "60 to 79"), ("age", "unknown"),
        ("view", "AP"), ("view", "PA"),
    ]  # fmt: skip
    small = rows[-2]
    assert (small.images, small.positive, small.negative) == (2, 2, 0)
    assert math.isnan(small.auc) and math.isnan(small.specificity) and "got 2 positive and 0 negative" in small.reason
    assert small.sensitivity_low < small.sensitivity_high
    women = predictions[
        (predictions["model"] == "strong") & predictions["image"].isin(cohort().query("sex == 'F'")["image"])
    ]
    assert rows[0].auc == pytest.approx(auc(women["label"], women["logit"]))
    assert rows[0].auc_low < rows[0].auc <= rows[0].auc_high and rows[0].images == 20


def test_curves_hold_the_auc_and_scikit_learns_average_precision():
    predictions = table()
    strong = predictions[predictions["model"] == "strong"]
    curves = run(predictions).models[1].curves
    assert np.trapezoid(curves.roc.y, curves.roc.x) == pytest.approx(auc(strong["label"], strong["logit"]))
    assert curves.average_precision == pytest.approx(average_precision_score(strong["label"], strong["logit"]))
    assert (curves.roc.x[0], curves.roc.y[0], curves.roc.x[-1], curves.roc.y[-1]) == (0, 0, 1, 1)


def test_curves_of_many_networks_are_short_and_close_to_the_mean_auc():
    model = run(table(seeds=range(4))).models[1]
    assert len(model.curves.roc.x) <= 200 and len(model.curves.precision_recall.x) <= 200
    assert np.trapezoid(model.curves.roc.y, model.curves.roc.x) == pytest.approx(model.auc, abs=0.02)
    assert (np.diff(model.curves.roc.y) >= -1e-12).all()


def test_an_image_without_a_label_is_left_out_and_counted():
    predictions = table()
    extra = predictions.iloc[[0]].assign(image="new.png", label=np.nan)
    result = run(pd.concat([predictions, extra]))
    assert result.settings.unlabelled == 1 and result.models[0].images == N


def test_a_model_that_did_not_see_every_image_is_named():
    with pytest.raises(UserError, match=r"'strong', seed 0 has no prediction of 1 of 60: 59.png"):
        run(table().iloc[:-1])


def test_faulty_predictions_are_refused_by_name():
    predictions = table()
    with pytest.raises(UserError, match="absent: logit"):
        run(predictions.drop(columns="logit"))
    broken = predictions.copy()
    broken.loc[3, "logit"] = np.nan
    with pytest.raises(UserError, match=r"such as '3.png' by model 'weak', seed 0"):
        run(broken)
    with pytest.raises(UserError, match=r"predicts '0.png' twice"):
        run(pd.concat([predictions, predictions.iloc[[0]]]))
    changed = predictions.copy()
    changed.loc[0, "patient"] = "someone else"
    with pytest.raises(UserError, match=r"'0.png' has several"):
        run(changed)
    with pytest.raises(UserError, match="at least 39 draws; got 20"):
        run(predictions, draws=20)
    with pytest.raises(UserError, match="got 45 positive and 0 negative"):
        run(predictions[predictions["label"] == 1])


def test_delongs_variance_of_two_equal_folds_is_half_and_of_two_equal_seeds_the_same():
    labels = np.array([1, 1, 1, 0, 0, 0, 0] * 2, dtype=bool)
    scores = np.array([0.9, 0.8, 0.4, 0.7, 0.4, 0.3, 0.1])  # by hand: variance 19/864
    first, second = np.arange(7), np.arange(7, 14)
    folds = [Network(0, 0, first, scores, scores), Network(0, 1, second, scores, scores)]
    seeds = [Network(0, 0, first, scores, scores), Network(1, 0, first, scores, scores)]
    assert model_delong(folds, labels) == pytest.approx(19 / 864 / 2)
    assert model_delong(seeds, labels) == pytest.approx(19 / 864)
    assert model_delong(folds, labels, folds) == pytest.approx(0)
    assert math.isnan(model_delong(folds, labels, seeds))
