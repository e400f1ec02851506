"""Loads weights whole, verified, or not at all: a partial load would leave layers random in silence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cxrlens.data.download import git_blob_sha1
from cxrlens.errors import UserError, near_miss
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights.cards import CARDS, WeightCard
from cxrlens.models.weights.containers import Contents, read_contents
from cxrlens.models.weights.find import (
    cached_file,
    find_weights,
    hub_preprocessing,
    local_file,
    resolve,
    trained_size,
    weights_folder,
)
from cxrlens.models.weights.fit import convert_for, misfits, needed
from cxrlens.models.weights.formats import Converted, recognise

# Whether a file is the published one: by SHA-256 or its beginning, git's SHA-1 or MD5, whichever is published.
#
# The same weights in files of several kinds have one identity, that of their tensors under timm's names.


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors whatever file they came from: by name, each its name, its shape and its float32 numbers.

    Args:
        tensors: a backbone's, under timm's names; BatchNorm's counter of batches is left out.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def mismatch(card: WeightCard, path: Path) -> str | None:
    """What is wrong with the file's hash, in words; None where it matches, or where no hash is published."""
    if card.sha256:
        found = file_sha256(path)
        if not found.startswith(card.sha256):
            return f"SHA-256 {found[:16]}… where {card.sha256[:16]}… was needed"
    if card.git_blob:
        found = git_blob_sha1(path)
        if found != card.git_blob:
            return f"git's SHA-1 {found[:16]}… where {card.git_blob[:16]}… was needed"
    if card.md5:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found not in card.md5:
            return f"MD5 {found} where {' or '.join(card.md5)} was needed"
    return None


def has_hash(card: WeightCard) -> bool:
    """Whether its publisher's file can be told from any other."""
    return bool(card.sha256 or card.git_blob or card.md5)


__all__ = ["LoadedWeights", "check_output", "fill", "find_weights", "load_weights", "read_tensors", "weights_folder"]


@dataclass(frozen=True)
class LoadedWeights:
    """Which weights a backbone got.

    Attributes:
        name: as the study says; where it says "auto", or a card that is not there, what that came to.
        title: what they are, for a table.
        preprocessing: what the network was trained to be given.
        sha256: of the file; None for random weights.
        size: side of the images it was trained on, in pixels; None where nothing says so.
        asked: as the study says, word for word.
        input: `preprocessing` in its publisher's words; "" where there are none.
    """

    name: str
    title: str
    preprocessing: Preprocessing
    sha256: str | None = None
    size: int | None = None
    asked: str = "random"
    input: str = ""


def load_weights(backbone: Backbone, spec: str, name: str, study_dir: Path | None = None) -> LoadedWeights:
    """Loads what `spec` means into the backbone, every tensor of it.

    Args:
        backbone: left as it was if anything is wrong.
        spec: see `find_weights`.
        name: the backbone's name, with timm's tag where it has one.
        study_dir: the folder that a relative path starts from.

    Raises:
        UserError: not in reach, for another architecture, a wrong hash, not a file of tensors, or tensors that are
            missing, left over or of another shape, each named.
    """
    asked, spec = spec, resolve(spec, name)
    path = find_weights(spec, name, study_dir)
    if path is None:
        return LoadedWeights("random", "random weights", UNIT)
    card = CARDS.get(spec)
    if card and card.architecture != backbone.architecture:
        raise UserError(f"the weights '{spec}' are for {card.architecture}; this backbone is {backbone.architecture}")
    if card and not card.tensors_sha256 and not from_hub(card, path) and (wrong := mismatch(card, path)):
        raise UserError(f"{path.name}: {wrong}: fetch it again, or name another file by its path")
    converted = convert_for(read_contents(path), backbone)
    if card:
        check_kind(converted, card, path.name)
    fill(backbone, converted, path.name)
    chosen = f" (in reach for '{asked}')" if asked != spec else ""
    if card:
        check_identity(backbone, card, path.name)
        check_output(backbone, card)
        # A file that a user made with timm's names says nothing of itself; otherwise its layout does.
        preprocessing = converted.preprocessing or card.preprocessing
        return LoadedWeights(spec, card.title + chosen, preprocessing, file_sha256(path), card.size, asked, card.input)
    if converted.card:
        check_output(backbone, converted.card)
        own = converted.card
        return LoadedWeights(spec, own.title, own.preprocessing, file_sha256(path), own.size, asked, own.input)
    title = f"{name}, timm's own" if spec == "timm" else path.name
    preprocessing = converted.preprocessing or hub_preprocessing(backbone, name)
    size = trained_size(spec, name, study_dir)
    return LoadedWeights(spec, title + chosen, preprocessing, file_sha256(path), size, asked)


def from_hub(card: WeightCard, path: Path) -> bool:
    """Whether this is timm's own file of the same weights, which its hub's client verifies."""
    return bool(card.hub) and path == cached_file(card.hub or "")


def check_kind(converted: Converted, card: WeightCard, file: str) -> None:
    """Refuses another source's network under a card's name: it would fit, and be given the wrong inputs.

    Raises:
        UserError: its layout is that of a network with other inputs, or its classifier has other outputs.
    """
    if converted.preprocessing not in (None, card.preprocessing):
        raise UserError(f"{file} is not '{card.name}': its network is given other inputs than {card.input}")
    tops = [converted.tensors[name] for name in ("classifier.weight", "head.fc.weight") if name in converted.tensors]
    known = converted.preprocessing is not None and card.outputs is not None  # timm's names alone say nothing
    if known and (not tops or tops[0].shape[0] != card.outputs):
        found = f"{tops[0].shape[0]} outputs" if tops else "no classifier"
        raise UserError(f"{file} is not '{card.name}': it has {found}, and {card.outputs} were needed")


def check_identity(backbone: Backbone, card: WeightCard, file: str) -> None:
    """Compares a backbone's tensors with the card's, where their identity is known.

    Raises:
        UserError: they are other weights of the same network.
    """
    if card.tensors_sha256:
        digest = tensors_sha256(backbone.inner.state_dict())
        if digest != card.tensors_sha256:
            raise UserError(
                f"{file} is not '{card.name}': its tensors have the SHA-256 {digest[:16]}… where "
                f"{card.tensors_sha256[:16]}… was needed; name the file by its path to use it all the same"
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file under its own names, read without running anything that is in it.

    Raises:
        UserError: it is no such file, is cut off, or holds more than tensors.
    """
    return read_contents(path).tensors


def fill(backbone: Backbone, tensors: dict[str, Tensor] | Converted, file: str) -> None:
    """Copies tensors into the backbone, by key and shape.

    Args:
        backbone: a timm backbone, or any other whose own names the file uses.
        tensors: converted, or under the names of any format that is known.
        file: how to call them in an error.

    Raises:
        UserError: names what is missing, what is left over and what has another shape.
    """
    converted = tensors if isinstance(tensors, Converted) else convert_for(Contents("torch", tensors), backbone)
    if converted.architecture and converted.architecture != backbone.architecture:
        raise UserError(f"{file} holds a {converted.architecture}; this backbone is {backbone.architecture}")
    if faults := misfits(converted, backbone):
        counted = "; ".join(f"{len(names)} {fault} ({', '.join(names[:3])}…)" for fault, names in faults.items())
        advice = f"; {converted.advice}" if converted.advice else ""
        raise UserError(f"{file} does not fit {backbone.architecture}, so nothing was loaded: {counted}{advice}")
    target = backbone.inner
    target.load_state_dict(needed(converted, backbone), strict=False)
    if converted.epsilon is not None:
        _fold_epsilon(target, converted.epsilon)


def _fold_epsilon(network: nn.Module, epsilon: float) -> None:
    """Adds what the source's epsilon has over the network's to the variances, where a saved network keeps it.

    A larger epsilon in the network is the study's own choice (`batchnorm_epsilon`), and stays.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var += max(epsilon - module.eps, 0.0)


def known_input(size: int = 224) -> Tensor:
    """A ramp from black to white, [1, 3, size, size] in [0, 1]."""
    return torch.linspace(0, 1, size * size).view(1, 1, size, size).expand(1, 3, size, size)


def known_output(backbone: Backbone, card: WeightCard) -> float:
    """Mean of the feature map of the ramp image, prepared as the card says; the backbone is left in its mode."""
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (card.preprocessing.mean, card.preprocessing.std))
    training = backbone.training
    with torch.no_grad():
        output = backbone.eval()((known_input(card.size) - mean) / std).mean().item()
    backbone.train(training)
    return output


def check_output(backbone: Backbone, card: WeightCard) -> None:
    """Compares the mean of the ramp's feature map with the card's.

    Raises:
        UserError: they differ by more than 1 in 1,000: the tensors fit, but are in the wrong places.
    """
    if card.known_output is None:
        return
    output = known_output(backbone, card)
    if abs(output - card.known_output) > 1e-3 * abs(card.known_output):
        raise UserError(
            f"the weights '{card.name}' load, but a known image gives {output:.6f} where {card.known_output:.6f} "
            "was needed: they are not what their card says"
        )


# Whether a file is a card's: its format, every tensor of it in the card's architecture, and the known output.


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
