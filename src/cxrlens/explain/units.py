"""Which channels of a layer Figure 3 shows: those that move the logit most, or a random few."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from cxrlens.data.seeds import generator
from cxrlens.explain.base import evaluating, select
from cxrlens.explain.hooks import captured
from cxrlens.explain.layers import as_map, find_layer
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress


def contributions(model: Classifier, images: Tensor, layer: str, batch: int = 8, progress: Progress = SILENT) -> Tensor:
    """What each channel of a layer adds to the logit: its map times the logit's gradient by it, summed over the map.

    Args:
        model: of one logit; left as it was found.
        images: float [n, 1, h, w] in [0, 1].
        layer: a name from `model.named_modules()`.
        batch: images in one pass.
        progress: who watches.

    Returns:
        float32 [n, c]. Where only linear layers follow, a row sums to the logit less the biases' part.
    """
    found, size = [], (images.shape[2], images.shape[3])
    module = find_layer(model, layer)
    with torch.enable_grad(), evaluating(model), progress.task("effect of units", len(images)) as task:
        for some in images.split(batch):
            with captured(module) as seen:
                logits = model(some.to(model.mean))
                gradient = torch.autograd.grad(select(logits, None).sum(), seen[0])[0]
            maps = [as_map(each.detach(), module, model, size, layer) for each in (seen[0], gradient)]
            found.append((maps[0] * maps[1]).sum((2, 3)).float().cpu())
            task.update(sum(map(len, found)))
    return torch.cat(found)


def choose_units(added: Tensor, count: int, by: Literal["effect", "seed"], seed: int) -> list[int]:
    """Channels for Figure 3.

    Args:
        added: see `contributions`, [n, c].
        count: how many, or all there are.
        by: "effect": the largest mean |contribution|, the largest first; "seed": at random, in order.
        seed: of the random choice.

    >>> choose_units(torch.tensor([[0.0, -3.0, 1.0], [0.0, 3.0, 1.0]]), 2, "effect", 0)
    [1, 2]
    """
    channels = added.shape[1]
    count = min(count, channels)
    if by == "effect":
        return added.abs().mean(0).argsort(descending=True, stable=True)[:count].tolist()
    return sorted(generator(seed).choice(channels, count, replace=False).tolist())
