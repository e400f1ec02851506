"""What activation maximization found, and whether a unit was moved at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxrlens.explain.activation_maximization.objectives import Objective
from cxrlens.explain.activation_maximization.options import MaximizeOptions


@dataclass(frozen=True)
class Activation:
    """Pictures, one for each objective and seed, the seeds of one objective beside each other.

    Attributes:
        objectives: what each picture is of, n of them.
        seeds: of each picture.
        pictures: float32 [n, 3, h, w] in [0, 1], as they are shown.
        raw: float32 [n, ...], what was optimised: pixels [n, c, h, w] in their own range, or spectra
            [n, c, h, w // 2 + 1, 2].
        curve: float32 [n, iterations], the objective of what the network saw at each iteration, before its step; NaN
            where an interrupt came first.
        loss: float32 [n, iterations], what was minimised: the regularizers less the objective.
        shown: float32 [n], the objective of `pictures` through the model's own `(x - mean) / std`.
        snapshots: float32 [n, s, 3, h, w] in [0, 1], the picture as it would be shown then.
        snapshot_iterations: after how many iterations each was taken.
        options: how they were made.
    """

    objectives: tuple[Objective, ...]
    seeds: tuple[int, ...]
    pictures: np.ndarray
    raw: np.ndarray
    curve: np.ndarray
    loss: np.ndarray
    shown: np.ndarray
    snapshots: np.ndarray
    snapshot_iterations: tuple[int, ...]
    options: MaximizeOptions

    def titles(self) -> list[str]:
        """A name for each picture, such as "conv_head 17, seed 0"."""
        named = zip(self.objectives, self.seeds, strict=True)
        return [f"{objective.title}, seed {seed}" for objective, seed in named]


@dataclass(frozen=True)
class Convergence:
    """A picture's activation against those of real images.

    Attributes:
        shown: the activation of the picture as shown.
        above: share of the images whose activation is lower.
        percentile_99: of the images' activations.
        most: the highest of them.
        converged: whether the picture is at or above `most`.
    """

    shown: float
    above: float
    percentile_99: float
    most: float
    converged: bool

    def __str__(self) -> str:
        return "converged" if self.converged else "did not converge"


def judge(shown: float, reference: np.ndarray | Sequence[float]) -> Convergence:
    """Compares a picture with real images: what one of them does better, the picture does not explain.

    Args:
        shown: the picture's activation as shown.
        reference: the same objective on real images, at least one (see `reference_activations`).

    >>> print(judge(2.0, [1.0, 3.0]), "-", judge(3.0, [1.0, 3.0]))
    did not converge - converged
    """
    values = np.asarray(reference, dtype=float)
    assert values.size and np.isfinite(values).all(), "activations of at least one image, all finite"
    most = float(values.max())
    percentile = float(np.percentile(values, 99))
    return Convergence(float(shown), float((values < shown).mean()), percentile, most, bool(shown >= most))
