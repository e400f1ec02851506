"""Which file a study's `weights` means, and which weights can be used here and now."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import timm
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

from cxrlens.data.download import check_reach
from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.weights.cards import CARDS, WeightCard, own_card, weights_folder

# timm's own weights, from its hub; a hub that is out of reach is reported within seconds, not after its retries.


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


SUFFIXES = (".safetensors", ".h5", ".hdf5", ".keras", ".pth.tar", ".pth", ".pt", ".tar", ".bin")
SPECIAL = ("random", "auto", "timm")


def keras_folder() -> Path:
    """Where Keras keeps the weights that it fetches: `models` in `KERAS_HOME`, or in `.keras` of the home folder."""
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # as keras.config does
    return Path(os.environ.get("KERAS_HOME") or home / ".keras").expanduser() / "models"


def local_file(card: WeightCard) -> Path | None:
    """The card's own file on this machine: in its package, the weights folder, Keras' or the hub's cache; or None."""
    if card.package:
        package = importlib.util.find_spec(card.package)
        if package is not None and package.origin:
            found = sorted(Path(package.origin).parent.rglob(card.file or "*.pth"))
            if found:
                return found[0]
    names = [f"{card.name}{suffix}" for suffix in SUFFIXES]
    if card.file and card.file != "model.pth.tar":  # a name that any checkpoint may have
        names += [card.file, *card.also]
    places = [weights_folder() / name for name in names]
    if card.format == "keras_h5" and card.file:
        places += [keras_folder() / name for name in (card.file, *card.also)]
    if present := next((place for place in places if place.is_file()), None):
        return present
    return cached_file(card.hub) if card.hub else None


def resolve(spec: str, backbone: str) -> str:
    """What a spec comes to here: "auto" and a card that is not there become the name of the best that is.

    Args:
        spec: as a study says.
        backbone: the backbone's name, with timm's tag where it has one.

    Raises:
        UserError: "auto" for a backbone that nobody publishes weights for.
        OutOfReach: "auto" where nothing for this backbone is in reach.
    """
    if spec == "auto":
        return _best(backbone)
    card = CARDS.get(spec)
    if card is None or local_file(card):
        return spec
    return next((name for name in card.stand_ins if local_file(CARDS[name])), spec)


def find_weights(spec: str, backbone: str, study_dir: Path | None = None) -> Path | None:
    """The file that a study's `weights` means; None for random weights.

    Args:
        spec: "random", "auto" (the best in reach), "timm" (timm's own for the backbone's name, from its hub), a card's
            name, or a path.
        backbone: the backbone's name, with timm's tag where it has one.
        study_dir: the folder that a relative path starts from.

    Raises:
        OutOfReach: they are not on this machine and cannot be fetched; the message says what to do.
        UserError: a name that is not known, or a path where no file is.
    """
    spec = resolve(spec, backbone)
    if spec == "random":
        return None
    if spec == "timm":
        return hub_file(backbone)
    if spec in CARDS:
        return _card_file(CARDS[spec])
    if not spec.endswith(SUFFIXES):
        raise UserError(near_miss("weights", spec, [*SPECIAL, *CARDS]) + f", or a path to a {SUFFIXES[0]} file")
    path = Path(spec).expanduser() if study_dir is None else study_dir / Path(spec).expanduser()
    if path.is_symlink() and not path.exists():
        raise UserError(f"the weight file {spec} is a link to {path.readlink()}, which is not there")
    if not path.is_file():
        raise UserError(f"no weight file {spec}" + (f" beside the study, in {study_dir}" if study_dir else ""))
    return path


def _best(backbone: str) -> str:
    architecture = backbone.split(".")[0]
    cards = [card for card in CARDS.values() if card.architecture == architecture]
    if found := next((card.name for card in cards if local_file(card)), None):
        return found
    try:
        hub_file(backbone)
    except OutOfReach as error:
        fetched = [card.name for card in cards if card.url]
        how = f": `cxrlens weights fetch {fetched[0]}`, or" if fetched else ";"
        raise OutOfReach(f"no weights for {architecture} are on this machine{how} {error.reason}") from error
    except UserError as error:
        if not cards:
            raise UserError(
                f"weights = 'auto': nobody publishes any for '{backbone}': use 'random' or a file"
            ) from error
        raise
    return "timm"


def _card_file(card: WeightCard) -> Path:
    found = local_file(card)
    if found is None:
        bring = f"`cxrlens weights fetch {card.name}` brings them" if card.url else f"get {card.source}"
        stand_in = f"; `cxrlens weights fetch {card.stand_ins[0]}` brings a stand-in" if card.stand_ins else ""
        raise OutOfReach(
            f"the weights '{card.name}' ({card.title}) are not on this machine: {bring}; `cxrlens weights add FILE` "
            f"takes a file that you have{stand_in}",
            f" (looked in {weights_folder()})",
        )
    return found


# The size of image that a study's `weights` were trained at: on their card, or on timm's for its own.


def trained_size(spec: str, backbone: str, study_dir: Path | None = None) -> int | None:
    """Side of the images in pixels; None for random weights, and for a file that carries no card.

    Args:
        spec: see `find_weights`; of "auto" and of a card that is not there, what that comes to here.
        backbone: the backbone's name, with timm's tag where it has one.
        study_dir: the folder that a relative path starts from.

    Raises:
        UserError: "auto" for a backbone that nobody publishes weights for, or a file that is not there.
        OutOfReach: "auto" where nothing for this backbone is in reach.
    """
    spec = resolve(spec, backbone)
    if spec == "timm":
        return hub_size(backbone)
    if spec in CARDS:
        return CARDS[spec].size
    path = find_weights(spec, backbone, study_dir)
    card = own_card(path) if path else None
    return card.size if card else None
