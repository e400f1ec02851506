"""Whether a file is a card's: its format, every tensor of it in the card's architecture, and the known output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import build_backbone
from cxrlens.models.weights.card import WeightCard
from cxrlens.models.weights.catalogue import CARDS
from cxrlens.models.weights.containers import read_contents
from cxrlens.models.weights.find import local_file
from cxrlens.models.weights.fit import convert_for
from cxrlens.models.weights.formats import recognise
from cxrlens.models.weights.identity import file_sha256, has_hash, mismatch
from cxrlens.models.weights.store import check_identity, check_kind, check_output, fill, from_hub


@dataclass(frozen=True)
class Verified:
    """What was checked of a card's file.

    Attributes:
        path: of the file.
        sha256: of the file.
        format: its layout, a name in `formats.FORMATS`.
        tensors: how many it holds.
        hash_checked: whether its publisher's hash is known, and matched.
        output_checked: whether a known output is on the card, and matched.
    """

    path: Path
    sha256: str
    format: str
    tensors: int
    hash_checked: bool
    output_checked: bool


def verify_weights(name: str) -> Verified:
    """Checks a card's file on this machine: hash, every tensor, and the output on a known image.

    Raises:
        UserError: no such card, not on this machine, or whatever is wrong with the file.
    """
    card = find_card(name)
    path = local_file(card)
    if path is None:
        raise UserError(f"the weights '{name}' are not on this machine; {card.source}")
    return accept(path, card)


def accept(path: Path, card: WeightCard) -> Verified:
    """Checks that a file is the card's.

    Raises:
        UserError: another hash, another architecture, tensors missing or left over, or another output.
    """
    hub = from_hub(card, path)
    if not card.tensors_sha256 and not hub and (wrong := mismatch(card, path)):
        raise UserError(f"{path.name} is not the published file of '{card.name}': {wrong}")
    contents = read_contents(path)
    with torch.random.fork_rng(devices=[]):
        backbone = build_backbone(card.architecture, 64)
    converted = convert_for(contents, backbone)
    check_kind(converted, card, path.name)
    fill(backbone, converted, path.name)
    check_identity(backbone, card, path.name)
    check_output(backbone, card)
    return Verified(
        path,
        file_sha256(path),
        recognise(contents),
        len(contents.tensors),
        (has_hash(card) or card.tensors_sha256 is not None) and not hub,
        card.known_output is not None,
    )


def find_card(name: str) -> WeightCard:
    """The card of a name.

    Raises:
        UserError: there is none; the nearest is named.
    """
    if name not in CARDS:
        raise UserError(near_miss("weights", name, CARDS))
    return CARDS[name]
