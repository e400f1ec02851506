"""RMSProp by hand, as keras-vis has it; Adam against PyTorch's."""

from __future__ import annotations

import pytest
import torch

from cxrlens.explain.activation_maximization.maximize_options import Adam, RMSProp


def test_two_steps_of_rmsprop_are_those_by_hand() -> None:
    x, gradient = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]])
    root = (25 / 2) ** 0.5  # root mean square of 3 and -4
    g = [3 / root, -4 / root]
    first = [0.05 * each**2 for each in g]
    x, state = RMSProp().step(x, gradient, None)
    expected = [1 - g[0] / first[0] ** 0.5, 2 - g[1] / first[1] ** 0.5]
    assert x[0].tolist() == pytest.approx(expected, rel=1e-5)
    second = [0.95 * before + 0.05 * each**2 for before, each in zip(first, g, strict=True)]
    x, _ = RMSProp().step(x, 10 * gradient, state)  # its length does not matter
    expected = [value - each / cache**0.5 for value, each, cache in zip(expected, g, second, strict=True)]
    assert x[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_first_step_of_rmsprop_is_one_over_the_root_of_a_twentieth_long_in_every_pixel() -> None:
    gradient = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    x, _ = RMSProp().step(torch.zeros_like(gradient), gradient, None)
    far = gradient.abs() > 0.1  # where epsilon is nothing beside it
    assert x[far].abs().numpy() == pytest.approx(20**0.5, rel=1e-3)
    assert (x[far].sign() == -gradient[far].sign()).all()


def test_a_gradient_of_zero_moves_nothing() -> None:
    for optimizer in (RMSProp(), Adam()):
        x, _ = optimizer.step(torch.ones(1, 4), torch.zeros(1, 4), None)
        assert x.tolist() == [[1.0] * 4]


def test_each_picture_is_normalised_by_itself() -> None:
    gradient = torch.tensor([[1.0, 2.0], [100.0, 200.0]])
    x, _ = RMSProp().step(torch.zeros(2, 2), gradient, None)
    torch.testing.assert_close(x[0], x[1], rtol=1e-5, atol=0)


def test_adam_is_pytorch_s() -> None:
    source = torch.Generator().manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(3, 7, generator=source))
    oracle = torch.optim.Adam([theirs], lr=0.05)
    ours, state = theirs.detach().clone(), None
    for _ in range(50):
        gradient = torch.randn(3, 7, generator=source)
        theirs.grad = gradient
        oracle.step()
        ours, state = Adam().step(ours, gradient, state)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
