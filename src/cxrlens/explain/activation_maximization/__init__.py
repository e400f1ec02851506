"""Activation maximization: the image that a unit of a network responds to most.

    result = maximize(model, Objective.channel("conv_head", 17), PRESETS["modern"], seeds=(0, 1, 2))
    result.pictures  # float32 [3, 3, h, w] in [0, 1]

An optimization is an objective × a parametrization × transforms × regularizers × an optimizer. `MaximizeOptions` joins
them, and `PRESETS` names three of its values. `assess_convergence` compares the activation of the image that was
reached with `reference_activations`, those of real images.
"""

from cxrlens.explain.activation_maximization.am_options import PRESETS, MaximizeOptions, doubling
from cxrlens.explain.activation_maximization.objectives import Objective, Unit
from cxrlens.explain.activation_maximization.optimize import MaximizationInterrupted, maximize
from cxrlens.explain.activation_maximization.records import (
    Activation,
    Convergence,
    assess_convergence,
    reference_activations,
)

__all__ = [
    "PRESETS",
    "Activation",
    "Convergence",
    "MaximizationInterrupted",
    "MaximizeOptions",
    "Objective",
    "Unit",
    "assess_convergence",
    "doubling",
    "maximize",
    "reference_activations",
]
