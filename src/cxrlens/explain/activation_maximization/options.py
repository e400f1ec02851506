"""How pictures are made: one frozen table, so that a study file may hold it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cxrlens.config import Config
from cxrlens.explain.activation_maximization.optimizers import Adam, Optimizer
from cxrlens.explain.activation_maximization.parametrizations import Fourier, Parametrization, Pixels
from cxrlens.explain.activation_maximization.transforms import Jitter, Pad, Rotate, Scale, Transform


class MaximizeOptions(Config):
    """What is left out has the defaults of the preset "modern".

    Attributes:
        parametrization: "pixels" or "fourier", each with its own options.
        transforms: applied in this order to what the network sees, at every iteration anew.
        wrap: keras-vis' jitter: the pixels themselves move, by up to this share of the side, wrapped, never undone.
        tv: weight of total variation, on the picture as it is optimised (keras-vis: 0 to 255).
        lp: weight of the L6 norm, on the same.
        optimizer: "adam" or "rmsprop", each with its own options.
        iterations: how many.
        keep: "last" keeps the last picture; "best" the one with the lowest loss; "after best", as keras-vis does, the
            one that the step from there led to.
        snapshots: after how many iterations to keep a picture as shown; 0 is the start.
        batch: pictures in one pass.
    """

    parametrization: Parametrization = Field(default=Fourier(), discriminator="kind")
    transforms: tuple[Transform, ...] = (Pad(), Jitter(), Scale(), Rotate(), Jitter(pixels=4))
    wrap: float = Field(default=0.0, ge=0, lt=1)
    tv: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    lp: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    optimizer: Optimizer = Field(default=Adam(), discriminator="kind")
    iterations: int = Field(default=512, ge=1)
    keep: Literal["last", "best", "after best"] = "last"
    snapshots: tuple[int, ...] = ()
    batch: int = Field(default=8, ge=1)

    @model_validator(mode="after")
    def _fit_together(self) -> MaximizeOptions:
        pixels = isinstance(self.parametrization, Pixels)
        if self.wrap and not pixels:
            raise ValueError("wrap moves pixels; it needs parametrization = { kind = 'pixels' }")
        if self.transforms and isinstance(self.parametrization, Pixels) and self.parametrization.divided_by == 1:
            raise ValueError("transforms fill with mid-grey of [0, 1]; they need pixels with divided_by = 255, or none")
        beyond = [number for number in self.snapshots if not 0 <= number <= self.iterations]
        if beyond:
            raise ValueError(f"snapshots are after 0 to {self.iterations} iterations; {beyond} are not")
        return self


def doubling(iterations: int) -> tuple[int, ...]:
    """Iterations for snapshots, since a picture changes fastest at first.

    >>> doubling(200)
    (0, 1, 2, 4, 8, 16, 32, 64, 128, 200)
    """
    return (0, *(2**power for power in range(iterations.bit_length()) if 2**power < iterations), iterations)
