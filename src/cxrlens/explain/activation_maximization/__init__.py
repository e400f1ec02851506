"""Activation maximization: the picture that a unit of a network likes most.

    found = maximize(model, Objective.channel("conv_head", 17), PRESETS["modern"], seeds=(0, 1, 2))
    found.pictures  # float32 [3, 3, h, w] in [0, 1]

objective (`objectives`, measured by `measure`) × parametrization × transforms × regularizers × optimizer, put together
in `options`, named in `presets`, run by `optimize`; `reference_activations` and `judge` say whether a picture moved its
unit at all.
"""

from cxrlens.explain.activation_maximization.objectives import Objective, Unit
from cxrlens.explain.activation_maximization.optimize import MaximizationInterrupted, maximize
from cxrlens.explain.activation_maximization.options import MaximizeOptions, doubling
from cxrlens.explain.activation_maximization.presets import PRESETS
from cxrlens.explain.activation_maximization.records import Activation, Convergence, judge
from cxrlens.explain.activation_maximization.reference import reference_activations

__all__ = [
    "PRESETS",
    "Activation",
    "Convergence",
    "MaximizationInterrupted",
    "MaximizeOptions",
    "Objective",
    "Unit",
    "doubling",
    "judge",
    "maximize",
    "reference_activations",
]
