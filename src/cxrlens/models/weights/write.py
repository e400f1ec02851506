"""Writes a trained backbone as a weight file with its card inside; the file is read back and checked."""

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
    """Writes the tensors of a backbone as safetensors.

    Args:
        path: path of the file, `.safetensors`.
        backbone: a timm backbone, or one with its own names; it stays unchanged.
        card: card of the weights; its `known_output` is computed from the written tensors.
        half: whether to write float16 instead of float32; integers stay.

    Returns:
        The card as it is in the file.

    Raises:
        UserError: the disk is full, or reading the file back gives other tensors.
    """
    state = backbone.inner.state_dict()
    dtype = torch.float16 if half else torch.float32
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in state.items()
    }
    with torch.random.fork_rng(devices=[]):
        written = build_backbone(card.architecture, card.size)
    single = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    fill(written, single, path.name)
    card = replace(card, known_output=float(f"{known_output(written, card):.6g}"))
    write_atomically(path, lambda draft: save_file(tensors, draft, {KEY: card.to_json()}))
    fill(written, convert(read_contents(path)), path.name)
    check_output(written, card)
    return card
