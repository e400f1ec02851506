"""Guided backpropagation (Springenberg et al. 2014, arXiv:1412.6806): ReLUs pass positive gradients only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from cxrlens.errors import UserError
from cxrlens.explain.base import Shown, channel_gradient, largest_channel
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("guided_backprop")
class GuidedBackprop(Method):
    """The gradient, of which every ReLU on the way back lets through what is positive; channels as in `saliency`.

    The rule is one for ReLUs (ReLU6 included): other activations keep their own gradient, and a network without a ReLU
    is refused.
    """

    title: ClassVar[str] = "Guided backpropagation"
    citation: ClassVar[str] = "Springenberg et al. 2014, arXiv:1412.6806"
    shown: ClassVar[Shown] = "positive"
    warning: ClassVar[str] = (
        "guided backpropagation draws the image's edges whether or not the network learned anything: its maps "
        "barely change when weights are made random (Adebayo et al. 2018, arXiv:1810.03292), so they are no "
        "evidence of what a network looked at"
    )

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed guided gradients [b, h, w]."""
        with _GuidedReLUs() as guided:
            gradients = channel_gradient(model, images, target)
        if not guided.met:
            raise UserError(
                "guided_backprop needs a network with ReLUs, and this one has none (it has no rule for other "
                "activations, such as GELU and SiLU): "
                "use saliency or integrated_gradients"
            )
        return largest_channel(gradients)


class _Guided(torch.autograd.Function):
    """min(max(x, 0), top), with a gradient that passes where x is inside and the gradient is positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float) -> Tensor:
        ctx.save_for_backward((x > 0) & (x < top))
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * inside, None


class _GuidedReLUs(TorchFunctionMode):
    """Stands in for every ReLU that is called, by a module (shared or in place) or by a function: no hook, no patch."""

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        top = _top(func, named)
        if top is None:
            return func(*args, **named)
        self.met += 1
        return _Guided.apply(args[0], top)


def _top(func: object, named: Mapping[str, Any]) -> float | None:
    """Where the ReLU that `func` is ends: infinity, 6 of ReLU6; None for what is none."""
    if func in (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_):
        return float("inf")
    if func is functional.relu6:
        return 6.0
    if func is functional.hardtanh and named["min_val"] == 0:  # as which torch's ReLU6 module calls it
        return float(named["max_val"])
    return None
