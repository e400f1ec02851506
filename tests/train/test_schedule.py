"""The learning rate of a step, against PyTorch's own scheduler."""

from __future__ import annotations

import pytest
import torch

from cxrlens.train.training_options import END, START, TrainingOptions, learning_rate


def test_constant_is_constant() -> None:
    assert {learning_rate(TrainingOptions(learning_rate=0.3), step, 7) for step in range(7)} == {0.3}


def test_one_cycle_is_pytorchs_where_the_peak_falls_on_a_step() -> None:
    options, total = TrainingOptions(schedule="one_cycle", learning_rate=2e-3), 101
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    # PyTorch's peak is at pct_start * total - 1; ours is at a quarter of the last step.
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-3, total_steps=total, pct_start=26 / total, div_factor=1 / START, final_div_factor=START / END
    )
    for step in range(total):
        assert learning_rate(options, step, total) == pytest.approx(oracle.get_last_lr()[0], rel=1e-6), step
        optimizer.step()
        if step < total - 1:
            oracle.step()


def test_a_single_step_has_a_rate() -> None:
    assert learning_rate(TrainingOptions(schedule="one_cycle", learning_rate=1.0), 0, 1) > 0
