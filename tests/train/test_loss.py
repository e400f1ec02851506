"""The loss by hand: what is unknown weighs nothing, and classes weigh alike where asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cxrlens.train.distil import distilling, standardised
from cxrlens.train.training_options import cross_entropy, label_weights

NAN = float("nan")


def test_unknown_labels_are_no_part_of_the_mean() -> None:
    logits = torch.tensor([[0.0, 3.0], [2.0, -1.0]])
    labels = torch.tensor([[1.0, NAN], [0.0, 1.0]])
    weights = torch.from_numpy(label_weights(labels.numpy()))
    by_hand = (np.log(2) + np.log1p(np.exp(2)) + np.log1p(np.exp(1))) / 3
    assert cross_entropy(logits, labels, weights).item() == pytest.approx(by_hand, rel=1e-6)


def test_an_unknown_label_has_no_gradient_and_is_never_nan() -> None:
    logits = torch.tensor([[1.0, 2.0]], requires_grad=True)
    labels = torch.tensor([[1.0, NAN]])
    loss = cross_entropy(logits, labels, torch.from_numpy(label_weights(labels.numpy())))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[0, 1] == 0 and gradient[0, 0] != 0


def test_a_batch_without_a_known_label_costs_nothing() -> None:
    labels = torch.full((2, 3), NAN)
    assert cross_entropy(torch.ones(2, 3), labels, torch.zeros(2, 3)).item() == 0


def test_class_weights_make_each_class_weigh_alike() -> None:
    labels = np.array([1, 1, 1, 0], np.float32)
    weights = label_weights(labels, balanced=True)
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())
    assert weights.mean() == pytest.approx(1)
    assert label_weights(labels).tolist() == [1, 1, 1, 1]


def test_class_weights_of_several_findings_are_each_findings_own() -> None:
    labels = np.array([[1, 0], [0, 0], [0, 0], [NAN, 1]], np.float32)
    weights = label_weights(labels, balanced=True)
    assert weights[:, 0].tolist() == pytest.approx([1.5, 0.75, 0.75, 0])
    assert weights[:, 1].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


def test_distilling_adds_the_squared_error_of_the_features() -> None:
    outputs, labels = torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([[1.0, 3.0, 4.0]])
    loss = distilling(1, weight=0.5)(outputs, labels, torch.ones(1, 3))
    assert loss.item() == pytest.approx(np.log(2) + 0.5 * (4 + 1) / 2, rel=1e-6)


def test_features_that_do_not_vary_teach_nothing() -> None:
    features = np.array([[1.0, 7.0], [3.0, 7.0]], np.float32)
    assert standardised(features).tolist() == [[-1.0], [1.0]]
