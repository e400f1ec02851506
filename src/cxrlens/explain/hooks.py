"""A layer's output, cut out of the graph: nothing before the layer is recorded, so nothing before it is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cxrlens.errors import UserError


@contextmanager
def captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Lets a network run inside the `with`; the list then holds the layer's output, ready to be differentiated by.

    What runs before the layer runs without a graph, what runs after it with one: the gradient by the layer's output
    costs no backward pass through a trunk below, whatever its parameters' flags. Of a layer that runs several times in
    a pass, the last output is kept. The hook is gone after the `with`, whatever happened inside.

    Raises:
        UserError: the layer gives no tensor.

    >>> relu = nn.ReLU(inplace=True)
    >>> with captured(relu) as seen:
    ...     output = nn.Sequential(nn.Linear(2, 2), relu)(torch.ones(1, 2)).sum()
    >>> torch.autograd.grad(output, seen[0])[0].tolist()
    [[1.0, 1.0]]
    """
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: object, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise UserError(
                f"the layer gives a {type(output).__name__}, not a tensor; name a layer that gives a feature map"
            )
        torch.set_grad_enabled(True)  # until the no_grad around it ends
        seen[:] = [output.detach().requires_grad_()]
        return seen[0].clone()  # a ReLU in place would overwrite the original

    with torch.no_grad():
        handle = layer.register_forward_hook(keep)
        try:
            yield seen
        finally:
            handle.remove()
