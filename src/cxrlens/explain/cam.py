"""What class activation maps share: a layer's map, and the logit's gradient by it."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from cxrlens.errors import UserError
from cxrlens.explain.base import Shown, select
from cxrlens.explain.hooks import captured
from cxrlens.explain.layers import as_map, default_layer, find_layer, margin
from cxrlens.explain.methods import Method
from cxrlens.models.classifier import Classifier


class ActivationMap(Method):
    """A method that weighs a layer's map; `combine` says how.

    No backward pass goes below the layer: on a frozen trunk with a small head the gradient is nearly free.

    Attributes:
        layer: a name from `model.named_modules()`, such as "backbone.network.blocks.5"; see `default_layer`.
    """

    shown: ClassVar[Shown] = "positive"  # the ReLU of the papers: what speaks for the target
    layer: str | None = Field(default=None, min_length=1)

    def layer_of(self, model: Classifier) -> str:
        """The layer that is explained."""
        return self.layer or default_layer(model)

    def margin_of(self, model: Classifier) -> tuple[int, int]:
        """What the layer's map lacks on each side."""
        name = self.layer_of(model)
        return margin(find_layer(model, name), name)

    def maps(self, model: Classifier, images: Tensor, target: Tensor | None) -> Tensor:
        """Signed maps [b, h', w'] in the layer's cells."""
        name = self.layer_of(model)
        layer = find_layer(model, name)
        with captured(layer) as seen:
            logits = model(images)
            if not seen:
                raise UserError(
                    f"the layer '{name}' is in the model but takes no part in a pass of it; name another, such as "
                    f"'{default_layer(model)}'"
                )
            found = torch.autograd.grad(select(logits, target).sum(), seen[0], materialize_grads=True)
        size = (images.shape[2], images.shape[3])
        activation, gradient = (as_map(each.detach(), layer, model, size, name) for each in (seen[0], found[0]))
        return self.combine(activation, gradient)

    def combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Signed maps [b, h', w'] of a layer's map and the logit's gradient by it, both [b, c, h', w']."""
        raise AssertionError("every activation map says how")
