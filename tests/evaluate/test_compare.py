import numpy as np
import pytest

from cxrlens.evaluate.comparisons import Comparison, compare, corrected, holm, winner
from cxrlens.evaluate.influence import mean_influence, placements


def pair(a, b, p_holm, anew=np.nan):
    return Comparison(a, b, 0.1, 0.0, 0.2, p_holm, p_holm, np.nan, np.nan, anew, anew)


def models(strengths, trainings=1, spread=0.0, seed=0):
    """Name → AUC of scores that share half of their noise."""
    generator = np.random.default_rng(seed)
    labels = np.arange(120) % 3 > 0
    shared = generator.normal(size=120)
    result = {}
    for name, strength in strengths.items():
        each = [
            placements(
                labels,
                (strength + generator.normal(0, spread)) * labels + shared + generator.normal(size=120),
                np.arange(120),
            )
            for _ in range(trainings)
        ]
        result[name] = mean_influence(each)
    return result


def test_holm_by_hand():
    # Sorted .01, .02, .03, .5: times 4, 3, 2, 1 = .04, .06, .06, .5, never falling.
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([0.02, np.nan, 0.01])[[0, 2]] == pytest.approx([0.02, 0.02])
    assert len(holm([])) == 0


def test_a_clear_difference_is_found_and_every_pair_is_compared_once_in_order():
    result = compare(models({"a": 4.0, "b": 0.2, "c": 0.2}))
    assert [(c.a, c.b) for c in result] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert result[0].low > 0 and result[0].p < 0.001 and result[0].p_holm >= result[0].p
    assert [c.p_holm for c in result] == pytest.approx(holm([c.p for c in result]))
    assert all(np.isnan(c.train_p) and c.decides == c.p_holm for c in result)


def test_a_model_is_equal_to_itself_but_not_for_sure():
    one = models({"a": 1.0})["a"]
    (result,) = compare({"a": one, "b": one})
    assert (result.difference, result.p, result.p_holm) == (0, 1, 1)
    assert result.low < 0 < result.high


def test_two_models_that_no_patient_can_move_still_differ_with_doubt():
    labels = np.repeat([True, False], 12)
    perfect, blind = (placements(labels, scores, np.arange(24)) for scores in (labels * 1.0, np.zeros(24)))
    (result,) = compare({"a": perfect, "b": blind})
    assert result.difference == 0.5 and 0 < result.low < 0.45 and result.high > 0.55


def test_the_winner_is_named_over_trainings_where_there_are_enough():
    steady = compare(models({"a": 1.8, "b": 0.2}, trainings=4, spread=0.05))
    loose = compare(models({"a": 1.8, "b": 0.2}, trainings=4, spread=3.0))
    assert steady[0].train_p < 0.01 and winner({"a": 0.9, "b": 0.6}, steady).name == "a"
    assert loose[0].train_p > 0.05 > loose[0].p and loose[0].decides == loose[0].train_p_holm
    assert winner({"a": 0.9, "b": 0.6}, loose).name is None
    assert winner({"a": 0.9, "b": 0.6}, [pair("a", "b", 0.001, anew=0.2)]).name is None


def test_a_pair_without_an_interval_names_no_winner_and_is_not_counted():
    labels = np.repeat([True, False], [12, 3])
    sides = {name: placements(labels, labels * sign, np.arange(15)) for name, sign in (("a", 1.0), ("b", -1.0))}
    result = compare(sides)
    assert np.isnan(result[0].p) and "got 12 with positive and 3 with negative" in result[0].reason
    best = winner({"a": 1.0, "b": 0.0}, result)
    assert best.name is None and best.sentence == f"no winner can be named: {result[0].reason}"
    assert corrected([*result, pair("a", "c", 0.03)])[1].p_holm == 0.03


def test_of_two_models_the_winners_sentence_speaks_of_one_difference():
    found = winner({"a": 0.9, "b": 0.6}, [pair("a", "b", 0.001)])
    assert found.sentence == "a has the highest AUC; the interval of its difference from b excludes 0"
    three = [pair("a", "b", 0.001), pair("a", "c", 0.001), pair("b", "c", 0.001)]
    assert (
        "its difference from every other model is significant" in winner({"a": 0.9, "b": 0.6, "c": 0.2}, three).sentence
    )


def test_no_winner_is_named_where_nothing_excludes_0():
    found = winner({"a": 0.7, "b": 0.8}, [pair("a", "b", 0.2)])
    assert found.name is None and found.sentence.startswith("no winner can be named: no difference")


def test_no_winner_is_named_where_the_best_has_a_rival():
    pairs = [pair("a", "b", 0.01), pair("a", "c", 0.01), pair("b", "c", 0.4)]
    result = winner({"a": 0.6, "b": 0.8, "c": 0.81}, pairs)
    assert result.name is None and "c has the highest AUC, but cannot be told apart from b" in result.sentence


def test_the_winner_beats_every_other_model():
    pairs = [pair("a", "b", 0.5), pair("a", "c", 0.01), pair("b", "c", 0.05)]
    assert winner({"a": 0.6, "b": 0.61, "c": 0.9}, pairs).name == "c"
    assert winner({"a": 0.6}, []).name is None
