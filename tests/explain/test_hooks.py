"""A layer cut out of the graph: its output whole, its hook gone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cxrlens.errors import UserError
from cxrlens.explain.layers import captured


def test_a_relu_in_place_behind_the_layer_overwrites_nothing() -> None:
    layer = nn.Conv1d(1, 1, 1)
    with captured(layer) as seen:
        output = nn.Sequential(layer, nn.ReLU(inplace=True))(torch.randn(1, 1, 50))
        slope = torch.autograd.grad(output.sum(), seen[0])[0]
    assert (seen[0] < 0).any()
    assert torch.equal(slope, (seen[0] > 0).float())


def test_what_runs_before_the_layer_is_not_recorded_and_what_runs_after_it_is() -> None:
    before, layer, after = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
    recorded: list[bool] = []
    before.register_forward_hook(lambda *each: recorded.append(each[2].requires_grad))
    with captured(layer) as seen:
        output = nn.Sequential(before, layer, after)(torch.ones(1, 2))
    assert recorded == [False]
    assert seen[0].is_leaf and output.grad_fn is not None


def test_of_a_layer_that_runs_twice_the_last_output_is_kept() -> None:
    double = nn.Linear(1, 1)
    nn.init.constant_(double.weight, 2.0), nn.init.zeros_(double.bias)
    with captured(double) as seen:
        output = double(double(torch.ones(1, 1))) * 3
    assert seen[0].tolist() == [[4.0]]
    assert torch.autograd.grad(output, seen[0])[0].tolist() == [[3.0]]


@pytest.mark.parametrize("grad", [True, False])
def test_the_hook_and_the_gradient_mode_are_put_back_whatever_happens_inside(grad: bool) -> None:
    layer = nn.Linear(1, 1)
    with torch.set_grad_enabled(grad):
        with pytest.raises(ZeroDivisionError), captured(layer):
            layer(torch.ones(1, 1))
            raise ZeroDivisionError
        assert torch.is_grad_enabled() is grad
    assert not layer._forward_hooks


def test_a_layer_that_gives_no_tensor_is_refused() -> None:
    layer = nn.LSTM(1, 1)
    with pytest.raises(UserError, match="gives a tuple, not a tensor"), captured(layer):
        layer(torch.ones(1, 1))
    assert not layer._forward_hooks
