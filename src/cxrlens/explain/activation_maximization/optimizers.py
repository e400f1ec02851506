"""How a step is made of a gradient: keras-vis' RMSProp, or Adam (Kingma and Ba 2015, arXiv:1412.6980)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from cxrlens.config import Config

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
