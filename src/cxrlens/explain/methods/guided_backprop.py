"""Guided backpropagation (Springenberg et al. 2014, arXiv:1412.6806): ReLUs pass only positive gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from cxrlens.errors import UserError
from cxrlens.explain.base import DisplayedPart, channel_gradient, largest_channel
from cxrlens.explain.methods import METHODS, Method
from cxrlens.models.classifier import Classifier


@METHODS.register("guided_backprop")
class GuidedBackprop(Method):
    """The gradient, where every ReLU passes only positive gradients on the way back; channels as in `saliency`.

    The rule applies to ReLUs (including ReLU6). Other activations keep their own gradient, and a network without a ReLU
    is refused.
    """

    title: ClassVar[str] = "Guided backpropagation"
    citation: ClassVar[str] = "Springenberg et al. 2014, arXiv:1412.6806"
    displayed: ClassVar[DisplayedPart] = "positive"
    warning: ClassVar[str] = (
        "guided backpropagation draws the image's edges whether or not the network learned anything: its maps "
        "barely change if the weights are randomised (Adebayo et al. 2018, arXiv:1810.03292), so they are no "
        "evidence of what a network looked at"
    )

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed guided gradients [b, h, w]."""
        with _GuidedReLUs() as guided:
            gradients = channel_gradient(model, images, target)
        if not guided.count:
            raise UserError(
                "guided_backprop needs a network with ReLUs, and this one has none (there is no rule for other "
                "activations, such as GELU and SiLU): "
                "use saliency or integrated_gradients"
            )
        return largest_channel(gradients)


class _Guided(torch.autograd.Function):
    """min(max(x, 0), top); the gradient passes where 0 < x < top and the gradient is positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float) -> Tensor:
        ctx.save_for_backward((x > 0) & (x < top))
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (active,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * active, None


class _GuidedReLUs(TorchFunctionMode):
    """Replaces every call of a ReLU, by a module (shared or in-place) or as a function, without hooks or patches."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = dict(kwargs or {})
        top = _upper_bound(func, keywords)
        if top is None:
            return func(*args, **keywords)
        self.count += 1
        return _Guided.apply(args[0], top)


def _upper_bound(func: object, keywords: Mapping[str, Any]) -> float | None:
    """The upper bound of a ReLU: infinity, or 6 for ReLU6; None if `func` is no ReLU."""
    if func in (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_):
        return float("inf")
    if func is functional.relu6:
        return 6.0
    if func is functional.hardtanh and keywords["min_val"] == 0:  # torch's ReLU6 module calls hardtanh
        return float(keywords["max_val"])
    return None
