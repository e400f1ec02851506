import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from cxrlens.errors import UserError
from cxrlens.evaluate.auc import auc, hanley_mcneil, ordered_bound
from cxrlens.evaluate.delong import delong, delong_covariance, delong_paired

# By hand (see the counts of ordered pairs): 12 pairs, A orders 10.5 of them, B 11.
Y = [1, 1, 1, 0, 0, 0, 0]
A = [0.9, 0.8, 0.4, 0.7, 0.4, 0.3, 0.1]
B = [0.6, 0.7, 0.8, 0.5, 0.65, 0.2, 0.1]

judged = st.lists(st.tuples(st.booleans(), st.integers(-6, 6)), min_size=6, max_size=40).filter(
    lambda rows: 2 <= sum(label for label, _ in rows) <= len(rows) - 2
)


def test_delong_gives_the_variances_worked_out_by_hand():
    aucs, covariance = delong_covariance(Y, [A, B])
    assert aucs == pytest.approx([7 / 8, 11 / 12])
    assert covariance == pytest.approx(np.array([[19 / 864, -7 / 1728], [-7 / 1728, 1 / 72]]))


def test_the_paired_test_gives_z_and_p_worked_out_by_hand():
    found = delong_paired(Y, A, B)
    assert found.difference == pytest.approx(-1 / 24)
    assert found.z == pytest.approx(-0.19867985, abs=1e-8)
    assert found.p == pytest.approx(0.84251318, abs=1e-8)
    assert found.low < found.difference < found.high


def test_identical_scores_have_z_0_and_p_1():
    found = delong_paired(Y, A, A)
    assert (found.difference, found.z, found.p) == (0, 0, 1)


def test_no_paired_test_is_made_up_where_the_variance_is_0_and_the_aucs_differ():
    found = delong_paired([1, 1, 0, 0], [2, 2, 1, 1], [1, 1, 1, 1])
    assert found.difference == 0.5
    assert math.isnan(found.p) and math.isnan(found.low)


def test_a_perfect_auc_has_a_lower_limit_below_1():
    found = delong([1] * 79 + [0] * 17, [2.0] * 79 + [1.0] * 17)
    assert (found.auc, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 17))
    assert "exact bound" in found.method
    assert delong([1, 1, 0, 0], [0, 0, 1, 1]).high < 1


def test_the_bound_of_a_perfect_auc_holds_the_error_rate():
    bound = ordered_bound(1.0, 10, level=0.9)[0]
    assert bound**10 == pytest.approx(0.05)  # ten pairs all in order at that AUC happen once in twenty


def test_equal_scores_everywhere_are_not_0_5_without_doubt():
    found = delong(Y, [1.0] * 7)
    assert found.auc == 0.5 and found.low < 0.4 and found.high > 0.6
    assert found.method == "Hanley-McNeil"


@pytest.mark.parametrize(("value", "low", "high"), [(0.672, 0.53, 0.79), (0.725, 0.59, 0.83), (0.816, 0.70, 0.89)])
def test_hanley_mcneil_gives_the_intervals_of_the_published_aucs(value, low, high):
    found = hanley_mcneil(value, 79, 17)
    assert (round(found.low, 2), round(found.high, 2)) == (low, high)


@given(judged)
def test_auc_agrees_with_scikit_learn_and_with_delong(rows):
    labels, scores = zip(*rows, strict=True)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert delong_covariance(labels, [scores])[0][0] == pytest.approx(auc(labels, scores))


@given(judged)
def test_a_monotone_transformation_changes_nothing_and_swapped_labels_mirror(rows):
    labels, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    plain, curved = delong(labels, scores), delong(labels, np.exp(scores / 3) + 7)
    assert (plain.auc, plain.low, plain.high) == pytest.approx((curved.auc, curved.low, curved.high))
    swapped = delong(1 - labels, scores)
    assert (1 - swapped.auc, 1 - swapped.high, 1 - swapped.low) == pytest.approx((plain.auc, plain.low, plain.high))
    assert 0 <= plain.low < plain.high <= 1


def test_an_unknown_label_is_left_out():
    assert delong([*Y, math.nan], [*A, 5.0]) == delong(Y, A)


def test_what_cannot_be_judged_is_refused_with_the_counts():
    with pytest.raises(UserError, match="at least 2 images of each class; got 1 positive and 3 negative"):
        delong([1, 0, 0, 0], [1, 2, 3, 4])
    with pytest.raises(UserError, match="got 2 positive and 0 negative"):
        auc([1, 1], [1, 2])
    for bad in (math.nan, math.inf):
        with pytest.raises(UserError, match="1 of 7 are not"):
            auc(Y, [*A[:-1], bad])
    with pytest.raises(UserError, match="labels are 1, 0 or NaN"):
        auc([1, 0, 2], [1, 2, 3])
    with pytest.raises(UserError, match="one score is needed for each label"):
        auc([1, 0], [1, 2, 3])
