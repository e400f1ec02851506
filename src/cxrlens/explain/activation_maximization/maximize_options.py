"""The options of activation maximization, their presets, and the two optimizers.

All options are frozen data, so that a study file may hold them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from cxrlens.config import Config
from cxrlens.explain.activation_maximization.parametrizations import Fourier, Parametrization, Pixels
from cxrlens.explain.activation_maximization.transforms import Jitter, Pad, Rotate, Scale, Transform
from cxrlens.registry import Registry

State = tuple[Tensor, ...]


class RMSProp(Config):
    """The RMSProp of keras-vis 0.4.1: each picture's gradient is divided by its root mean square; no learning rate.

    Attributes:
        decay: decay of the running mean of squared gradients. The mean starts at 0, so the first step has the length
            1 / sqrt(1 - decay).
        epsilon: constant that is added to the root mean square and to the running mean.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    decay: float = Field(default=0.95, ge=0, lt=1)
    epsilon: float = Field(default=1e-7, gt=0)

    def step(self, x: Tensor, gradient: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The next x, one step downhill, and the optimizer's next state; `state` is None at the first step."""
        others = tuple(range(1, x.ndim))
        gradient = gradient / (gradient.square().mean(others, keepdim=True).sqrt() + self.epsilon)
        previous = state[0] * self.decay if state else 0.0
        cache = previous + (1 - self.decay) * gradient.square()
        return x - gradient / (cache + self.epsilon).sqrt(), (cache,)


class Adam(Config):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) with its usual constants.

    Attributes:
        rate: learning rate.
        decay: decay of the running mean of gradients.
        square_decay: decay of the running mean of squared gradients.
        epsilon: constant that is added to the root of the mean square.
    """

    kind: Literal["adam"] = "adam"
    rate: float = Field(default=0.05, gt=0)
    decay: float = Field(default=0.9, ge=0, lt=1)
    square_decay: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)

    def step(self, x: Tensor, gradient: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The next x, one step downhill, and the optimizer's next state; `state` is None at the first step."""
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
    """How activation maximization optimises its pictures. The defaults are the preset "modern".

    Attributes:
        parametrization: what is optimised: "pixels" or "fourier", each with its own options.
        transforms: random transforms of the network's input, applied in this order and drawn anew at every iteration.
        wrap: largest shift of keras-vis' jitter, as a share of the side. It moves the pixels themselves, wraps them
            around the edges and is never undone.
        tv: weight of the total variation of the picture as it is optimised (keras-vis: 0 to 255).
        lp: weight of the L6 norm of the picture as it is optimised.
        optimizer: "adam" or "rmsprop", each with its own options.
        iterations: number of optimisation steps.
        keep: which picture is the result. "last": the last one; "best": the one with the lowest loss; "after best": the
            one a step after the lowest loss, as in keras-vis.
        snapshots: iterations after which a copy of the displayed picture is kept; 0 is the start.
        batch: number of pictures that are optimised together.
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
            raise ValueError("wrap moves pixels, so it needs parametrization = { kind = 'pixels' }")
        if self.transforms and isinstance(self.parametrization, Pixels) and self.parametrization.divided_by == 1:
            raise ValueError(
                "transforms fill with the mid-grey of [0, 1]; pixels need divided_by = 255 for that, or no transforms"
            )
        beyond = [number for number in self.snapshots if not 0 <= number <= self.iterations]
        if beyond:
            raise ValueError(f"snapshots must lie between 0 and {self.iterations} iterations; got {beyond}")
        return self


def doubling(iterations: int) -> tuple[int, ...]:
    """Iterations for snapshots, at doubling distances, since a picture changes fastest at first.

    >>> doubling(200)
    (0, 1, 2, 4, 8, 16, 32, 64, 128, 200)
    """
    return (0, *(2**power for power in range(iterations.bit_length()) if 2**power < iterations), iterations)


# Presets: the paper's tool as it was, the same with its input scaled correctly, and today's practice.

PRESETS: Registry[MaximizeOptions] = Registry("preset")

# keras-vis 0.4.1 with its default weights, for the paper's Figure 2a (the output unit, 2048 iterations, no jitter).
# Figure 2b is this with wrap 0.05 and tv 0; Figure 3 is 2b with 200 iterations. The values 0 to 255 go into the network
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

# The same, with the network's input divided by 255. The regularizers see 0 to 255 as before.
KERAS_VIS_SCALED = PRESETS.register("keras-vis-scaled")(
    KERAS_VIS.model_copy(update={"parametrization": Pixels(divided_by=255.0)})
)

# Olah, Mordvintsev and Schubert 2017 (Feature Visualization, Distill) with lucid's constants: the defaults.
MODERN = PRESETS.register("modern")(MaximizeOptions())
