"""Writes a trained backbone as weights: safetensors with its card inside, read back and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from cxrlens.files import write_atomically
from cxrlens.models.backbones import Backbone
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights.cards import KEY, WeightCard
from cxrlens.models.weights.containers import read_contents
from cxrlens.models.weights.formats import convert
from cxrlens.models.weights.store import check_output, fill, known_output


def write_weights(path: Path, backbone: Backbone, card: WeightCard, half: bool = True) -> WeightCard:
    """Writes the backbone's tensors and returns the card with the output that the written file gives.

    Args:
        path: of the file, `.safetensors`.
        backbone: a timm backbone, or one with names of its own; left as it was.
        card: `known_output` is found here.
        half: float16 instead of float32; integers stay.

    Raises:
        UserError: the disk is full, or what was written does not come back.
    """
    state = backbone.inner.state_dict()
    kind = torch.float16 if half else torch.float32
    tensors = {
        name: (each.to(kind) if each.is_floating_point() else each).detach().cpu().contiguous()
        for name, each in state.items()
    }
    with torch.random.fork_rng(devices=[]):
        written = build_backbone(card.architecture, card.size)
    fill(
        written, {name: each.float() if each.is_floating_point() else each for name, each in tensors.items()}, path.name
    )
    card = replace(card, known_output=float(f"{known_output(written, card):.6g}"))
    write_atomically(path, lambda draft: save_file(tensors, draft, {KEY: card.to_json()}))
    fill(written, convert(read_contents(path)), path.name)
    check_output(written, card)
    return card
