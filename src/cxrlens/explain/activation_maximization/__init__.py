"""Activation maximization: the image that a unit of a network responds to most.

    result = maximize(model, Objective.channel("conv_head", 17), PRESETS["modern"], seeds=(0, 1, 2))
    result.pictures  # float32 [3, 3, h, w] in [0, 1]

An optimisation combines an objective with a parametrization, transforms, regularizers and an optimizer.
`MaximizeOptions` holds all but the objective, and `PRESETS` names three of its values. `assess_convergence` compares
the activation of a picture with those of real images (`reference_activations`).
"""

from cxrlens.explain.activation_maximization.maximize_options import PRESETS, MaximizeOptions, doubling
from cxrlens.explain.activation_maximization.objectives import Objective, Unit
from cxrlens.explain.activation_maximization.optimize import MaximizationInterrupted, maximize
from cxrlens.explain.activation_maximization.records import (
    Convergence,
    MaximizationResult,
    assess_convergence,
    reference_activations,
)

__all__ = [
    "PRESETS",
    "Convergence",
    "MaximizationInterrupted",
    "MaximizationResult",
    "MaximizeOptions",
    "Objective",
    "Unit",
    "assess_convergence",
    "doubling",
    "maximize",
    "reference_activations",
]
