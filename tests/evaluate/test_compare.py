import numpy as np
import pytest

from cxrlens.evaluate.compare import Comparison, Scored, compare, holm, winner


def pair(a, b, p_holm):
    return Comparison(a, b, 0.1, 0.0, 0.2, p_holm, p_holm, np.nan)


def test_holm_by_hand():
    # Sorted .01, .02, .03, .5: times 4, 3, 2, 1 = .04, .06, .06, .5, never falling.
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([0.02, np.nan, 0.01])[[0, 2]] == pytest.approx([0.02, 0.02])
    assert len(holm([])) == 0


def test_a_clear_difference_is_found_and_its_interval_goes_with_its_p():
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.05, size=999)
    better = Scored(0.9, 0.8, 0.95, 0.9 + noise)
    worse = Scored(0.7, 0.6, 0.8, 0.7 + noise + generator.normal(0, 0.02, size=999))
    (found,) = compare({"a": better, "b": worse}, {("a", "b"): 0.3})
    assert found.low > 0 and found.p == pytest.approx(2 / 1000) and found.p_holm == found.p
    assert found.difference == pytest.approx(0.2) and found.p_delong == 0.3


def test_every_pair_is_compared_once_in_order_and_a_model_with_itself_is_equal():
    same = Scored(0.8, 0.7, 0.9, np.linspace(0.7, 0.9, 100))
    found = compare({"a": same, "b": same, "c": same}, {})
    assert [(c.a, c.b) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all((c.difference, c.p, c.p_holm) == (0, 1, 1) for c in found)


def test_two_models_that_no_draw_can_move_still_differ_with_doubt():
    perfect, blind = Scored(1.0, 0.8, 1.0, np.ones(100)), Scored(0.5, 0.35, 0.65, np.full(100, 0.5))
    (found,) = compare({"a": perfect, "b": blind}, {})
    assert (found.low, found.high) == pytest.approx((0.25, 0.65))  # 0.5 - hypot(.2, .15), 0.5 + hypot(0, .15)
    unsure = Scored(0.5, 0.02, 0.98, np.full(100, 0.5))
    (found,) = compare({"a": perfect, "b": unsure}, {})
    assert found.low < 0 and found.p == 1


def test_no_winner_is_named_where_nothing_excludes_0():
    found = winner({"a": 0.7, "b": 0.8}, [pair("a", "b", 0.2)])
    assert found.name is None and found.sentence.startswith("no winner can be named: no interval")


def test_no_winner_is_named_where_the_best_has_a_rival():
    pairs = [pair("a", "b", 0.01), pair("a", "c", 0.01), pair("b", "c", 0.4)]
    found = winner({"a": 0.6, "b": 0.8, "c": 0.81}, pairs)
    assert found.name is None and "c has the highest AUC, but cannot be told apart from b" in found.sentence


def test_the_winner_beats_every_other_model():
    pairs = [pair("a", "b", 0.5), pair("a", "c", 0.01), pair("b", "c", 0.05)]
    assert winner({"a": 0.6, "b": 0.61, "c": 0.9}, pairs).name == "c"
    assert winner({"a": 0.6}, []).name is None
