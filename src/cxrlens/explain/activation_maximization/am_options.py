"""How pictures are made: one frozen table, so that a study file may hold it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from cxrlens.config import Config
from cxrlens.explain.activation_maximization.parametrizations import Fourier, Parametrization, Pixels
from cxrlens.explain.activation_maximization.transforms import Jitter, Pad, Rotate, Scale, Transform
from cxrlens.registry import Registry

# How a step is made of a gradient: keras-vis' RMSProp, or Adam (Kingma and Ba 2015, arXiv:1412.6980).

State = tuple[Tensor, ...]


class RMSProp(Config):
    """keras-vis 0.4.1's: each picture's gradient by its root mean square, and no learning rate.

    Attributes:
        decay: of the running mean of squares, which starts at 0: the first step is 1 / sqrt(1 - decay) long.
        epsilon: added to the root mean square, and to the running mean.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    decay: float = Field(default=0.95, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0)

    def step(self, x: Tensor, gradient: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The next x, downhill, and what has to be kept for the step after; `state` is None at the first."""
        others = tuple(range(1, x.ndim))
        gradient = gradient / (gradient.square().mean(others, keepdim=True).sqrt() + self.epsilon)
        before = state[0] * self.decay if state else 0.0
        cache = before + (1 - self.decay) * gradient.square()
        return x - gradient / (cache + self.epsilon).sqrt(), (cache,)


class Adam(Config):
    """Adam with its usual constants.

    Attributes:
        rate: the learning rate.
        decay: of the running mean of gradients.
        square_decay: of the running mean of squares.
        epsilon: added to the root.
    """

    kind: Literal["adam"] = "adam"
    rate: float = Field(default=0.05, gt=0)
    decay: float = Field(default=0.9, ge=0, lt=1)
    square_decay: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)

    def step(self, x: Tensor, gradient: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The next x, downhill, and what has to be kept for the step after; `state` is None at the first."""
        zero = x.new_zeros(())
        first, second, count = state or (zero, zero, zero.double())  # double: 1 - 0.999 loses digits otherwise
        count = count + 1
        first = self.decay * first + (1 - self.decay) * gradient
        second = self.square_decay * second + (1 - self.square_decay) * gradient.square()
        mean = first / (1 - self.decay**count)
        spread = (second / (1 - self.square_decay**count)).sqrt()
        return x - self.rate * mean / (spread + self.epsilon), (first, second, count)


Optimizer = RMSProp | Adam


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


# Named settings: the paper's tool as it was, the same with its inputs mended, and what is used today.

PRESETS: Registry[MaximizeOptions] = Registry("preset")

# keras-vis 0.4.1 with its default weights, for the paper's Figure 2a (the output unit, 2048 iterations, no jitter).
# Figure 2b is this with wrap 0.05 and tv 0; Figure 3 that with 200 iterations. The numbers 0 to 255 go into the network
# undivided, although the paper's networks were trained on [0, 1].
KERAS_VIS = PRESETS.register("keras-vis")(
    MaximizeOptions(
        parametrization=Pixels(),
        transforms=(),
        tv=10.0,
        lp=10.0,
        optimizer=RMSProp(),
        iterations=2048,
        keep="after best",
    )
)

# The same, with what goes into the network divided by 255. The regularizers see 0 to 255 as before.
KERAS_VIS_SCALED = PRESETS.register("keras-vis-scaled")(
    KERAS_VIS.model_copy(update={"parametrization": Pixels(divided_by=255.0)})
)

# Olah, Mordvintsev and Schubert 2017 (Feature Visualization, Distill) with lucid's constants: the defaults.
MODERN = PRESETS.register("modern")(MaximizeOptions())
