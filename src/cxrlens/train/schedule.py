"""The learning rate of a step: a function of the step alone, so that a run resumes exactly."""

from __future__ import annotations

import math

from cxrlens.train.options import TrainingOptions

WARM = 0.25  # share of the steps in which the rate rises
FROM, TO = 1 / 25, 1e-4  # the rate's shares of its peak, at the start and at the end


def learning_rate(options: TrainingOptions, step: int, total: int) -> float:
    """The rate of step number `step` (from 0) of `total`.

    "one_cycle" rises from a 25th along half a cosine, and falls likewise to a 10,000th (Smith and Topin 2018,
    arXiv:1708.07120).

    >>> [round(learning_rate(TrainingOptions(schedule="one_cycle"), step, 9), 6) for step in (0, 2, 8)]
    [4e-05, 0.001, 0.0]
    """
    peak = options.learning_rate
    if options.schedule == "constant":
        return peak
    top = max(1, round(WARM * (total - 1)))
    if step <= top:
        return peak * _half_cosine(FROM, 1, step / top)
    return peak * _half_cosine(1, TO, (step - top) / max(1, total - 1 - top))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
