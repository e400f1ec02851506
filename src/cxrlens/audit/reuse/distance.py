"""How far training moved a block: ‖after - before‖ / ‖before‖, layer-wise (Neyshabur et al. 2020, arXiv:2008.11687).

A distance of weights is not one of functions: in front of a BatchNorm their scale alone changes nothing. Read it beside
CKA. What did not train must be exactly 0, statistics included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from cxrlens.audit.reuse.blocks import Block, is_norm
from cxrlens.models.classifier import Classifier


@dataclass(frozen=True)
class Distance:
    """Relative distances of a block; NaN where it has no such tensors, or they were all 0 before.

    Attributes:
        weights: of convolutions and linear layers with their biases, and whatever else is learned.
        batchnorm: of the scales and shifts of BatchNorm (LayerNorm where that is the network's).
        statistics: of BatchNorm's running means and variances, which move without a gradient.
    """

    weights: float
    batchnorm: float
    statistics: float


def distance(before: Classifier, after: Classifier, block: Block) -> Distance:
    """The distances of one block of two networks of one architecture."""
    squares = {"weights": [0.0, 0.0], "batchnorm": [0.0, 0.0], "statistics": [0.0, 0.0]}
    for kind, old, new in _pairs(before, after, block):
        old, new = old.detach().double().cpu(), new.detach().double().cpu()
        squares[kind][0] += float((new - old).square().sum())
        squares[kind][1] += float(old.square().sum())
    return Distance(
        **{kind: (moved / size) ** 0.5 if size else float("nan") for kind, (moved, size) in squares.items()}
    )


def _pairs(before: Classifier, after: Classifier, block: Block) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(kind, tensor before, tensor after) of all that training can move; counters and constants aren't."""
    for name in block.owners:
        old, new = before.get_submodule(name), after.get_submodule(name)
        kind = "batchnorm" if is_norm(old) else "weights"
        moved = dict(new.named_parameters(recurse=False))
        for key, tensor in old.named_parameters(recurse=False):
            yield kind, tensor, moved[key]
        moved = dict(new.named_buffers(recurse=False))
        for key, tensor in old.named_buffers(recurse=False):
            if key.startswith("running_"):
                yield "statistics", tensor, moved[key]
