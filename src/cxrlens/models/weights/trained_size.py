"""The size of image that a study's `weights` were trained at: on their card, or on timm's for its own."""

from __future__ import annotations

from pathlib import Path

from cxrlens.models.weights.catalogue import CARDS, own_card
from cxrlens.models.weights.find import find_weights, resolve
from cxrlens.models.weights.hub import hub_size


def trained_size(spec: str, backbone: str, near: Path | None = None) -> int | None:
    """Side of the images in pixels; None for random weights, and for a file that carries no card.

    Args:
        spec: see `find_weights`; of "auto" and of a card that is not there, what that comes to here.
        backbone: the backbone's name, with timm's tag where it has one.
        near: the folder that a relative path starts from.

    Raises:
        UserError: "auto" for a backbone that nobody publishes weights for, or a file that is not there.
        OutOfReach: "auto" where nothing for this backbone is in reach.
    """
    spec = resolve(spec, backbone)
    if spec == "timm":
        return hub_size(backbone)
    if spec in CARDS:
        return CARDS[spec].size
    path = find_weights(spec, backbone, near)
    card = own_card(path) if path else None
    return card.size if card else None
