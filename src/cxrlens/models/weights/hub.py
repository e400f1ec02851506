"""timm's own weights, from its hub; a hub that is out of reach is reported within seconds, not after its retries."""

from __future__ import annotations

import os
from pathlib import Path

import timm
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

from cxrlens.data.reach import check_reach
from cxrlens.errors import UserError
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing


class OutOfReach(UserError):
    """Weights that cannot be had here and now: the row that wants them is left out, the others go on.

    Attributes:
        reason: the message without any path of this machine, for results that are compared between machines.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason + where)
        self.reason = reason


FILE = "model.safetensors"
PATIENCE = 4.0  # seconds


def hub_file(backbone: str) -> Path:
    """The weight file of a timm name, from the hub's cache on this machine or from the hub.

    Raises:
        OutOfReach: the hub cannot be reached (said within 5 seconds) or does not give the file.
        UserError: timm names no weights for it.
    """
    config = timm.get_pretrained_cfg(backbone)
    repository = config.hf_hub_id if config else None
    if not repository:
        raise UserError(f"timm has no pretrained weights for '{backbone}': use weights = 'random' or a file")
    if cached := cached_file(backbone):
        return cached
    endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT)
    how = (
        f"fetch {FILE} of {repository} where there is a network and give its path as weights = "
        f"'PATH/{repository.split('/')[-1]}.safetensors'"
    )
    away = OutOfReach(f"the weights of '{backbone}' are on a model hub that is out of reach: {how}")
    if constants.HF_HUB_OFFLINE:
        raise away
    try:
        # The hub's own client would try for a minute.
        check_reach(endpoint)
    except UserError as error:
        raise away from error
    try:
        return Path(hf_hub_download(repository, FILE, endpoint=endpoint, etag_timeout=PATIENCE))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise OutOfReach(f"the weights of '{backbone}' could not be fetched ({error}): {how}") from error


def cached_file(backbone: str) -> Path | None:
    """The weight file of a timm name in the hub's cache on this machine, without asking the network; or None."""
    config = timm.get_pretrained_cfg(backbone)
    cached = try_to_load_from_cache(config.hf_hub_id, FILE) if config and config.hf_hub_id else None
    return Path(cached) if isinstance(cached, str) else None


def hub_size(backbone: str) -> int | None:
    """Side of the images that timm says its weights of this name were trained at; None for a name that it lacks."""
    config = timm.get_pretrained_cfg(backbone)
    return int(config.input_size[-1]) if config else None


def hub_preprocessing(backbone: Backbone, name: str) -> Preprocessing:
    """What timm says that the weights of this name were trained to be given; the unit range for other networks."""
    config = timm.get_pretrained_cfg(name) if backbone.inner is not backbone else None
    return Preprocessing(tuple(config.mean), tuple(config.std)) if config else UNIT
