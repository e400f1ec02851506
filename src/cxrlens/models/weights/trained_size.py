"""The size of image that a study's `weights` were trained at: on their card, or on timm's for its own."""

from __future__ import annotations

from cxrlens.models.weights.cards import CARDS
from cxrlens.models.weights.find import resolve
from cxrlens.models.weights.hub import hub_size


def trained_size(spec: str, backbone: str) -> int | None:
    """Side of the images in pixels; None for random weights and for a file, which says nothing of it.

    Args:
        spec: see `find_weights`; of "auto" and of a card that is not there, what that comes to here.
        backbone: the backbone's name, with timm's tag where it has one.

    Raises:
        UserError: "auto" for a backbone that nobody publishes weights for.
        OutOfReach: "auto" where nothing for this backbone is in reach.
    """
    spec = resolve(spec, backbone)
    if spec == "timm":
        return hub_size(backbone)
    return CARDS[spec].size if spec in CARDS else None
