import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import auc, auc_difference, auc_interval
from cxrlens.evaluate.evaluate import evaluate
from cxrlens.evaluate.networks import Network, Validation, model_influence

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
    return evaluate(predictions, predictions, cohort(), **options)


def test_one_network_gets_its_plain_auc_and_the_interval_that_anyone_gets():
    predictions = table()
    weak, strong = (predictions[predictions["model"] == name] for name in ("weak", "strong"))
    result = run(predictions)
    model = result.models[0]
    expected = auc_interval(weak["label"], weak["logit"], weak["patient"])
    assert (model.auc, model.auc_low, model.auc_high) == pytest.approx((expected.auc, expected.low, expected.high))
    gap = auc_difference(weak["label"], weak["logit"], strong["logit"], weak["patient"])
    outcome = result.comparisons[0]
    assert (outcome.difference, outcome.low, outcome.high, outcome.p) == pytest.approx(
        (gap.difference, gap.low, gap.high, gap.p)
    )
    assert (model.images, model.positive, model.negative, model.patients) == (60, 45, 15, 30)
    assert math.isnan(model.auc_train_low) and not model.rough and result.settings.trainings == ""


def test_three_seeds_or_folds_give_a_second_interval_and_two_do_not():
    for shape, trainings in (
        ({"seeds": (0, 1, 2)}, "seeds"), ({"folds": 5}, "folds"), ({"seeds": (0, 1)}, ""), ({"folds": 2}, ""),
        ({"seeds": (0, 1, 2), "folds": 5}, "seeds"),
    ):  # fmt: skip
        result = run(table(**shape))
        assert result.settings.trainings == trainings
        for model in result.models:
            assert math.isnan(model.auc_train_low) == (not trainings)
            if trainings:
                assert model.auc_train_low < model.auc_low and model.auc_train_high > model.auc_high
        assert math.isnan(result.comparisons[0].train_p) == (not trainings)


def test_few_patients_of_a_class_have_an_auc_without_an_interval_and_the_reason():
    predictions = table()
    few = predictions[(predictions["label"] == 1) | (predictions["image"].isin([f"{i}.png" for i in (0, 4, 8, 12)]))]
    result = run(few)
    for model in result.models:
        assert 0 < model.auc <= 1 and math.isnan(model.auc_low) and "4 with negative" in model.reason
        assert math.isnan(model.threshold.specificity_low) and model.threshold.specificity_wilson_low < 1
    assert math.isnan(result.comparisons[0].p) and result.winner.name is None
    json.dumps(result.to_json(), allow_nan=False)


def test_a_model_without_a_fold_of_both_classes_is_refused_by_name():
    predictions = table(folds=2)
    sorted_out = predictions.assign(fold=predictions["label"].where(predictions["model"] == "strong", 0).astype(int))
    with pytest.raises(UserError, match=r"^strong: no fold holds images of both classes$"):
        run(sorted_out)
    with pytest.raises(UserError, match=r"^weak: .* at least 2 images of each class; got 45 positive and 0 negative$"):
        run(predictions[predictions["label"] == 1])


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


def test_the_same_predictions_give_the_same_json_and_it_is_json():
    predictions = table(seeds=(0, 1))
    first, again = (json.dumps(run(predictions).to_json(), allow_nan=False) for _ in range(2))
    assert first == again
    outcome = json.loads(first)
    assert {"name", "auc", "auc_low", "auc_high", "auc_train_low", "rough", "reason", "seeds"} <= set(
        outcome["models"][0]
    )
    assert {"a", "b", "difference", "low", "high", "p", "p_holm"} <= set(outcome["comparisons"][0])
    assert outcome["models"][0]["calibration"].keys() >= {"intercept", "slope", "brier"}


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
    assert sure.auc == 1 and 0.5 < sure.auc_low < 0.9
    assert math.isnan(sure.calibration.slope) and "separate" in sure.calibration.reason
    assert blind.auc == 0.5 and blind.auc_low < 0.45 and blind.auc_high > 0.55


def test_the_threshold_comes_from_the_training_side_only():
    predictions = table()
    training = predictions.assign(logit=predictions["label"] * 100 - 42)  # midway between -42 and 58: 8
    result = evaluate(predictions, training, cohort()).models[1].threshold
    strong = predictions[predictions["model"] == "strong"]
    called = strong["logit"] >= 8
    assert result.value == pytest.approx(expit(8.0))
    assert result.sensitivity == called[strong["label"] == 1].mean()
    assert result.specificity == (~called[strong["label"] == 0]).mean()
    without = evaluate(predictions, None, cohort()).models[1].threshold
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
    assert small.sensitivity == 1 and math.isnan(small.sensitivity_low)  # of one patient
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
    with pytest.raises(UserError, match="level lies between 0 and 1"):
        run(predictions, level=95)
    with pytest.raises(UserError, match="got 45 positive and 0 negative"):
        run(predictions[predictions["label"] == 1])


def test_two_equal_folds_halve_the_variance_and_two_equal_seeds_leave_it():
    labels = np.array([1, 1, 1, 0, 0, 0, 0] * 2, dtype=bool)
    scores = np.array([0.9, 0.8, 0.4, 0.7, 0.4, 0.3, 0.1])
    first, second = np.arange(7), np.arange(7, 14)
    data = Validation(np.arange(14), np.arange(14).astype(str), labels, {})

    def squares(*networks):
        outcome = model_influence(networks, data)
        assert outcome.value == pytest.approx(7 / 8)
        return (outcome.parts**2).sum()

    one = squares(Network(0, 0, first, scores, scores))
    folds = squares(Network(0, 0, first, scores, scores), Network(0, 1, second, scores, scores))
    seeds = squares(Network(0, 0, first, scores, scores), Network(1, 0, first, scores, scores))
    assert (folds, seeds) == (pytest.approx(one / 2), pytest.approx(one))


def test_folds_without_both_classes_are_no_trainings():
    predictions = table(folds=5)
    predictions.loc[(predictions["fold"] == 4) & (predictions["label"] == 0), "fold"] = 3
    result = run(predictions)
    assert result.settings.trainings == "folds" and result.models[0].auc_train_low < result.models[0].auc_low


@pytest.mark.parametrize("shift", [-20, 20])
def test_a_threshold_near_0_or_1_is_written_in_full(shift):
    sure = table()
    sure["logit"] += shift
    value = run(sure).to_json()["models"][1]["threshold"]["value"]
    assert value == run(sure).models[1].threshold.value and 0 < value < 1


def test_the_overlap_of_folds_is_validation_over_training_images():
    labels, logits = np.tile([True, False], 25), np.random.default_rng(0).normal(size=50)
    data = Validation(np.arange(50), np.arange(50).astype(str), labels, {})
    rows = [np.arange(10 * fold, 10 * fold + 10) for fold in range(5)]
    networks = [Network(0, fold, of, logits[of], logits[of]) for fold, of in enumerate(rows)]
    assert model_influence(networks, data).overlap == pytest.approx(1 / 4)
