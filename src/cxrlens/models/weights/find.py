"""The file that a study's `weights` stands for, where it is on this machine, and the image size it was trained at.

Timm's own weights come from its hub. A hub that cannot be reached is reported within seconds, without retries.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

from cxrlens.data.download import check_reach
from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.backbones.timm_family import pretrained_config
from cxrlens.models.weights.cards import CARDS, WeightCard, own_card, weights_folder


class OutOfReach(UserError):
    """Error for weights that are not available; the model row that needs them is excluded, the others are trained.

    Attributes:
        reason: message without paths of this machine, for results that are compared between machines.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(reason + where)
        self.reason = reason


FILE = "model.safetensors"
TIMEOUT = 4.0  # seconds


def hub_file(backbone: str) -> Path:
    """Path of the weight file of a timm name, from the hub's cache on this machine or from the hub.

    Raises:
        OutOfReach: the hub cannot be reached (reported within 5 seconds) or does not give the file.
        UserError: timm has no weights for this name.
    """
    config = pretrained_config(backbone)
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
        # The hub's own client would retry for a minute.
        check_reach(endpoint)
    except UserError as error:
        raise away from error
    try:
        return Path(hf_hub_download(repository, FILE, endpoint=endpoint, etag_timeout=TIMEOUT))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise OutOfReach(f"the weights of '{backbone}' could not be fetched ({error}): {how}") from error


def cached_file(backbone: str) -> Path | None:
    """Path of the weight file of a timm name in the hub's cache on this machine, without the network; or None."""
    config = pretrained_config(backbone)
    cached = try_to_load_from_cache(config.hf_hub_id, FILE) if config and config.hf_hub_id else None
    return Path(cached) if isinstance(cached, str) else None


def hub_size(backbone: str) -> int | None:
    """Side of the training images in pixels, by timm's description of its weights; None for an unknown name."""
    config = pretrained_config(backbone)
    return int(config.input_size[-1]) if config else None


def hub_preprocessing(backbone: Backbone, name: str) -> Preprocessing:
    """Scale of the training images by timm's description of its weights; [0, 1] for other networks."""
    config = pretrained_config(name) if backbone.inner is not backbone else None
    return Preprocessing(tuple(config.mean), tuple(config.std)) if config else UNIT


SUFFIXES = (".safetensors", ".h5", ".hdf5", ".keras", ".pth.tar", ".pth", ".pt", ".tar", ".bin")
SPECIAL = ("random", "auto", "timm")


def keras_folder() -> Path:
    """Folder in which Keras stores weights: `models` in `KERAS_HOME`, or in `.keras` of the home folder."""
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # as keras.config does
    return Path(os.environ.get("KERAS_HOME") or home / ".keras").expanduser() / "models"


def local_file(card: WeightCard) -> Path | None:
    """Path of a card's file: in its package, the weights folder, Keras' folder or the hub's cache; None if absent."""
    if card.package:
        package = importlib.util.find_spec(card.package)
        if package is not None and package.origin:
            files = sorted(Path(package.origin).parent.rglob(card.file or "*.pth"))
            if files:
                return files[0]
    names = [f"{card.name}{suffix}" for suffix in SUFFIXES]
    if card.file and card.file != "model.pth.tar":  # a name that many checkpoints have
        names += [card.file, *card.also]
    paths = [weights_folder() / name for name in names]
    if card.format == "keras_h5" and card.file:
        paths += [keras_folder() / name for name in (card.file, *card.also)]
    if present := next((path for path in paths if path.is_file()), None):
        return present
    return cached_file(card.hub) if card.hub else None


def resolve(spec: str, backbone: str) -> str:
    """Replaces "auto", and a card whose file is absent, by the name of the best available weights.

    Args:
        spec: value of `weights` in the study.
        backbone: name of the backbone, with timm's tag if it has one.

    Raises:
        UserError: the spec is "auto" and no weights are published for the backbone.
        OutOfReach: the spec is "auto" and no weights for the backbone are available.
    """
    if spec == "auto":
        return _best(backbone)
    card = CARDS.get(spec)
    if card is None or local_file(card):
        return spec
    return next((name for name in card.stand_ins if local_file(CARDS[name])), spec)


def find_weights(spec: str, backbone: str, study_dir: Path | None = None) -> Path | None:
    """Path of the file that a study's `weights` stands for; None for random weights.

    Args:
        spec: "random", "auto" (the best available weights), "timm" (timm's own weights for the backbone, from its hub),
            the name of a card, or a path.
        backbone: name of the backbone, with timm's tag if it has one.
        study_dir: folder that a relative path starts from.

    Raises:
        OutOfReach: the weights are not on this machine and cannot be fetched; the message says what to do.
        UserError: the name is unknown, or there is no file at the path.
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
    if available := next((card.name for card in cards if local_file(card)), None):
        return available
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
    path = local_file(card)
    if path is None:
        bring = f"`cxrlens weights fetch {card.name}` brings them" if card.url else f"get {card.source}"
        stand_in = f"; `cxrlens weights fetch {card.stand_ins[0]}` brings a stand-in" if card.stand_ins else ""
        raise OutOfReach(
            f"the weights '{card.name}' ({card.title}) are not on this machine: {bring}; `cxrlens weights add FILE` "
            f"takes a file that you have{stand_in}",
            f" (looked in {weights_folder()})",
        )
    return path


def trained_size(spec: str, backbone: str, study_dir: Path | None = None) -> int | None:
    """Side in pixels of the images that weights were trained at; None for random weights and files without a card.

    Args:
        spec: value of `weights` in the study, see `find_weights`.
        backbone: name of the backbone, with timm's tag if it has one.
        study_dir: folder that a relative path starts from.

    Raises:
        UserError: the spec is "auto" and no weights are published for the backbone, or there is no file at the path.
        OutOfReach: the spec is "auto" and no weights for the backbone are available.
    """
    spec = resolve(spec, backbone)
    if spec == "timm":
        return hub_size(backbone)
    if spec in CARDS:
        return CARDS[spec].size
    path = find_weights(spec, backbone, study_dir)
    card = own_card(path) if path else None
    return card.size if card else None
