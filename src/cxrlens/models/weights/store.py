"""Finds weights and loads them whole, verified, or not at all: a partial load would leave layers random in silence."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.weights.cards import CARDS, WeightCard
from cxrlens.models.weights.hub import OutOfReach, hub_file, hub_preprocessing

SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class LoadedWeights:
    """Which weights a backbone got.

    Attributes:
        name: as the study says.
        title: what they are, for a table.
        preprocessing: what the network wants to be given.
        sha256: of the file; None for random weights.
    """

    name: str
    title: str
    preprocessing: Preprocessing
    sha256: str | None = None


def weights_folder() -> Path:
    """Where weights that a person fetched are looked for: `CXRLENS_WEIGHTS`, or the user's data folder."""
    return Path(os.environ.get("CXRLENS_WEIGHTS") or Path(platformdirs.user_data_dir("cxrlens")) / "weights")


def find_weights(spec: str, backbone: str, near: Path | None = None) -> Path | None:
    """The file that a study's `weights` means; None for random weights.

    Args:
        spec: "random", "timm" (timm's own for the backbone's name, from its hub), a card's name, or a path.
        backbone: the backbone's name, with timm's tag where it has one.
        near: the folder that a relative path starts from.

    Raises:
        OutOfReach: they are not on this machine and cannot be fetched; the message says what to do.
        UserError: a name that is not known, or a path where no file is.
    """
    if spec == "random":
        return None
    if spec == "timm":
        return hub_file(backbone)
    if spec in CARDS:
        return _card_file(CARDS[spec])
    if not spec.endswith(SUFFIXES):
        raise UserError(near_miss("weights", spec, ["random", "timm", *CARDS]) + f", or a path to a {SUFFIXES[0]} file")
    path = Path(spec).expanduser() if near is None else near / Path(spec).expanduser()
    if not path.is_file():
        raise UserError(f"no weight file {spec}" + (f" beside the study, in {near}" if near else ""))
    return path


def load_weights(backbone: Backbone, spec: str, name: str, near: Path | None = None) -> LoadedWeights:
    """Loads what `spec` means into the backbone, every tensor of it.

    Args:
        backbone: left as it was if anything is wrong.
        spec: see `find_weights`.
        name: the backbone's name, with timm's tag where it has one.
        near: the folder that a relative path starts from.

    Raises:
        UserError: not in reach, for another architecture, a wrong hash, not a file of tensors, or tensors that are
            missing, left over or of another shape, each named.
    """
    path = find_weights(spec, name, near)
    if path is None:
        return LoadedWeights("random", "random weights", UNIT)
    card = CARDS.get(spec)
    if card and card.architecture != backbone.architecture:
        raise UserError(f"the weights '{spec}' are for {card.architecture}; this backbone is {backbone.architecture}")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if card and card.sha256 and sha256 != card.sha256:
        raise UserError(f"{path.name}: SHA-256 {sha256[:16]}… where {card.sha256[:16]}… was needed: fetch it again")
    fill(backbone, read_tensors(path), path.name)
    if card:
        check_output(backbone, card)
        return LoadedWeights(spec, card.title, card.preprocessing, sha256)
    title = f"{name}, timm's own" if spec == "timm" else path.name
    return LoadedWeights(spec, title, hub_preprocessing(backbone, name), sha256)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a `.pth` read without running anything that is in it.

    Raises:
        UserError: it is no such file, is cut off, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path.name} is not a whole safetensors file: {error}") from error
    except Exception as error:  # torch.load raises almost anything on a hostile or truncated file
        raise UserError(
            f"{path.name} cannot be read as plain tensors ({type(error).__name__}); "
            "nothing in it was run: save it as .safetensors"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path.name} holds something other than a table of tensors: save the state dict alone")
    return found


def fill(backbone: Backbone, tensors: dict[str, Tensor], file: str) -> None:
    """Copies tensors into the backbone, by key and shape.

    Args:
        backbone: a timm backbone, or any other whose own names the file uses.
        tensors: names as timm's; as a run of cxrlens writes them (`backbone.…`); or EfficientNet-Lite's own.
        file: how to call them in an error.

    Raises:
        UserError: names what is missing, what is left over and what has another shape.
    """
    target = getattr(backbone, "network", backbone)
    wanted = target.state_dict()
    found = _own_names(tensors, wanted)
    kept = {name: tensor for name, tensor in found.items() if not name.startswith(backbone.dropped or ("\0",))}
    # Bookkeeping of BatchNorm that no output depends on; older files lack it.
    absent = [name for name in wanted if name not in kept and not name.endswith("num_batches_tracked")]
    excess = [name for name in kept if name not in wanted]
    reshaped = [name for name in kept if name in wanted and kept[name].shape != wanted[name].shape]
    faults = [("missing", absent), ("left over", excess), ("of another shape", reshaped)]
    if any(names for _, names in faults):
        told = "; ".join(f"{len(names)} {what} ({', '.join(names[:3])}…)" for what, names in faults if names)
        raise UserError(f"{file} does not fit {backbone.architecture}, so nothing was loaded: {told}")
    target.load_state_dict(kept, strict=False)


def known_input() -> Tensor:
    """A ramp from black to white, [1, 3, 224, 224] in [0, 1]."""
    return torch.linspace(0, 1, 224 * 224).view(1, 1, 224, 224).expand(1, 3, 224, 224)


def check_output(backbone: Backbone, card: WeightCard) -> None:
    """Compares the mean of the ramp's feature map with the card's.

    Raises:
        UserError: they differ by more than 1 in 1,000: the tensors fit, but are in the wrong places.
    """
    if card.known_output is None:
        return
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (card.preprocessing.mean, card.preprocessing.std))
    training = backbone.training
    with torch.no_grad():
        output = backbone.eval()((known_input() - mean) / std).mean().item()
    backbone.train(training)
    if abs(output - card.known_output) > 1e-3 * abs(card.known_output):
        raise UserError(
            f"the weights '{card.name}' load, but a known image gives {output:.6f} where {card.known_output:.6f} "
            "was needed: they are not what their card says"
        )


def _own_names(tensors: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    if all(name.startswith(("backbone.", "head.")) for name in tensors) and "head.fc.weight" not in tensors:
        ours = {name.removeprefix("backbone."): each for name, each in tensors.items() if name.startswith("backbone.")}
        return {name.removeprefix("network."): each for name, each in ours.items()}
    if "_conv_stem.weight" in tensors and "conv_stem.weight" in wanted:
        # The EfficientNet-Lite source lists its layers in the same order as timm's tf_ variant, classifier last.
        names = [*wanted, "classifier.weight", "classifier.bias"]
        return dict(zip(names, tensors.values(), strict=True)) if len(names) == len(tensors) else tensors
    return tensors


def _card_file(card: WeightCard) -> Path:
    if card.package:
        package = importlib.util.find_spec(card.package)
        if package is not None and package.origin:
            found = sorted(Path(package.origin).parent.rglob("*.pth"))
            if found:
                return found[0]
    for suffix in SUFFIXES:
        path = weights_folder() / f"{card.name}{suffix}"
        if path.is_file():
            return path
    raise OutOfReach(
        f"the weights '{card.name}' ({card.title}) are not on this machine; {card.source}, in the weights folder "
        "(CXRLENS_WEIGHTS)",
        f": {weights_folder()}",
    )
