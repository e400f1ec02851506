"""Loads weights completely and verified, or not at all: a partial load would silently leave layers random. Writes them.

A file is the published one if it has the published hash: SHA-256 (or the beginning of it), git's SHA-1 or MD5. Files of
several kinds with the same weights share one identity, the hash of their tensors under timm's names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cxrlens.data.download import git_blob_sha1
from cxrlens.errors import UserError, near_miss
from cxrlens.files import write_atomically
from cxrlens.models.backbones import UNIT, Backbone, Preprocessing
from cxrlens.models.backbones.timm_family import build_backbone
from cxrlens.models.weights.cards import CARDS, KEY, WeightCard
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
from cxrlens.models.weights.formats import Converted, convert, recognise


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors, whatever file they came from: of each, in the order of the names, name, shape and float32s.

    Args:
        tensors: tensors of a backbone under timm's names; BatchNorm's counters of batches are left out.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def mismatch(card: WeightCard, path: Path) -> str | None:
    """Message about a wrong hash of a file; None if the hash is right or none is published."""
    if card.sha256:
        digest = file_sha256(path)
        if not digest.startswith(card.sha256):
            return f"SHA-256 {digest[:16]}… where {card.sha256[:16]}… was needed"
    if card.git_blob:
        digest = git_blob_sha1(path)
        if digest != card.git_blob:
            return f"git's SHA-1 {digest[:16]}… where {card.git_blob[:16]}… was needed"
    if card.md5:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if digest not in card.md5:
            return f"MD5 {digest} where {' or '.join(card.md5)} was needed"
    return None


def has_hash(card: WeightCard) -> bool:
    """Whether a hash of the published file is known."""
    return bool(card.sha256 or card.git_blob or card.md5)


__all__ = ["LoadedWeights", "check_output", "fill", "find_weights", "load_weights", "read_tensors", "weights_folder"]


@dataclass(frozen=True)
class LoadedWeights:
    """Description of the weights that a backbone got.

    Attributes:
        name: name of the weights, after "auto" and absent cards have been replaced.
        title: network and training data, for tables.
        preprocessing: scale of the images in the training of the weights.
        sha256: SHA-256 of the file; None for random weights.
        size: side of the training images, in pixels; None if unknown.
        requested: value of `weights` in the study.
        input: range of the input as the publisher states it; "" if unknown.
    """

    name: str
    title: str
    preprocessing: Preprocessing
    sha256: str | None = None
    size: int | None = None
    requested: str = "random"
    input: str = ""


def load_weights(backbone: Backbone, spec: str, name: str, study_dir: Path | None = None) -> LoadedWeights:
    """Loads weights into every tensor of a backbone.

    Args:
        backbone: backbone, which stays unchanged if tensors do not fit.
        spec: value of `weights` in the study, see `find_weights`.
        name: name of the backbone, with timm's tag if it has one.
        study_dir: folder that a relative path starts from.

    Raises:
        UserError: the weights are not available, are of another architecture or have a wrong hash, the file holds more
            than tensors, or tensors are missing, left over or of another shape; each is named.
    """
    requested, spec = spec, resolve(spec, name)
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
    chosen = f" (in reach for '{requested}')" if requested != spec else ""
    if card:
        check_identity(backbone, card, path.name)
        check_output(backbone, card)
        # A user's file under timm's names does not tell its preprocessing; the layout of other files does.
        preprocessing = converted.preprocessing or card.preprocessing
        return LoadedWeights(
            spec, card.title + chosen, preprocessing, file_sha256(path), card.size, requested, card.input
        )
    if converted.card:
        check_output(backbone, converted.card)
        own = converted.card
        return LoadedWeights(spec, own.title, own.preprocessing, file_sha256(path), own.size, requested, own.input)
    title = f"{name}, timm's own" if spec == "timm" else path.name
    preprocessing = converted.preprocessing or hub_preprocessing(backbone, name)
    size = trained_size(spec, name, study_dir)
    return LoadedWeights(spec, title + chosen, preprocessing, file_sha256(path), size, requested)


def from_hub(card: WeightCard, path: Path) -> bool:
    """Whether a file is timm's own file of the same weights, which the client of its hub verifies."""
    return bool(card.hub) and path == cached_file(card.hub or "")


def check_kind(converted: Converted, card: WeightCard, file: str) -> None:
    """Checks that a file comes from the card's source: a similar network would load, but get wrongly scaled images.

    Raises:
        UserError: the layout is that of a network with other inputs, or its classifier has another number of outputs.
    """
    if converted.preprocessing not in (None, card.preprocessing):
        raise UserError(f"{file} is not '{card.name}': its network takes other inputs than {card.input}")
    names = ("classifier.weight", "head.fc.weight")
    classifiers = [converted.tensors[name] for name in names if name in converted.tensors]
    known = converted.preprocessing is not None and card.outputs is not None  # timm's names do not tell the source
    if known and (not classifiers or classifiers[0].shape[0] != card.outputs):
        outputs = f"{classifiers[0].shape[0]} outputs" if classifiers else "no classifier"
        raise UserError(f"{file} is not '{card.name}': it has {outputs}; {card.outputs} outputs were needed")


def check_identity(backbone: Backbone, card: WeightCard, file: str) -> None:
    """Compares the hash of a backbone's tensors with the card's, where the card has one.

    Raises:
        UserError: the file holds other weights of the same network.
    """
    if card.tensors_sha256:
        digest = tensors_sha256(backbone.inner.state_dict())
        if digest != card.tensors_sha256:
            raise UserError(
                f"{file} is not '{card.name}': its tensors have the SHA-256 {digest[:16]}… where "
                f"{card.tensors_sha256[:16]}… was needed; give the path of the file as weights to use it anyway"
            )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a weight file by their own names; no code in the file is run.

    Raises:
        UserError: the file is not a weight file, is truncated, or holds more than tensors.
    """
    return read_contents(path).tensors


def fill(backbone: Backbone, tensors: dict[str, Tensor] | Converted, file: str) -> None:
    """Copies tensors into a backbone, if names and shapes fit.

    Args:
        backbone: a timm backbone, or another whose own names the file uses.
        tensors: converted tensors, or tensors under the names of any known format.
        file: name of the file in error messages.

    Raises:
        UserError: tensors are missing, left over or of another shape; each is named.
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
    """Adds the difference between the source's and the network's BatchNorm epsilon to the variances.

    A saved network keeps the variances. An epsilon of the network that is larger comes from the study
    (`batchnorm_epsilon`) and stays.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var += max(epsilon - module.eps, 0.0)


def known_input(size: int = 224) -> Tensor:
    """The known image: a ramp from black to white, [1, 3, size, size] in [0, 1]."""
    return torch.linspace(0, 1, size * size).view(1, 1, size, size).expand(1, 3, size, size)


def known_output(backbone: Backbone, card: WeightCard) -> float:
    """Mean of the feature map of the ramp image with the card's preprocessing; the backbone stays in its mode."""
    scale = card.preprocessing
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (scale.mean, scale.std))
    training = backbone.training
    with torch.no_grad():
        output = backbone.eval()((known_input(card.size) - mean) / std).mean().item()
    backbone.train(training)
    return output


def check_output(backbone: Backbone, card: WeightCard) -> None:
    """Compares the mean of the ramp image's feature map with the card's.

    Raises:
        UserError: the means differ by more than 0.1%, so the tensors fit but are in the wrong places.
    """
    if card.known_output is None:
        return
    output = known_output(backbone, card)
    if abs(output - card.known_output) > 1e-3 * abs(card.known_output):
        raise UserError(
            f"the weights '{card.name}' load, but a known image gives {output:.6f} where {card.known_output:.6f} was "
            "needed: they are not the weights of their card"
        )


@dataclass(frozen=True)
class Verified:
    """Results of the checks of a card's file.

    Attributes:
        path: path of the file.
        sha256: SHA-256 of the file.
        format: layout of the file, a name in `formats.FORMATS`.
        tensors: number of tensors in the file.
        hash_checked: whether the publisher's hash is known and right.
        output_checked: whether the card has an output of the known image, and it is right.
    """

    path: Path
    sha256: str
    format: str
    tensors: int
    hash_checked: bool
    output_checked: bool


def verify_weights(name: str) -> Verified:
    """Checks a card's file on this machine: its hash, every tensor, and the output of the known image.

    Raises:
        UserError: there is no such card, its file is not on this machine, or a check fails.
    """
    card = find_card(name)
    path = local_file(card)
    if path is None:
        raise UserError(f"the weights '{name}' are not on this machine; {card.source}")
    return accept(path, card)


def accept(path: Path, card: WeightCard) -> Verified:
    """Checks that a file holds the card's weights.

    Raises:
        UserError: the hash, the architecture or the output differs, or tensors are missing or left over.
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
    """Card of a name.

    Raises:
        UserError: there is no such card; the nearest name is given.
    """
    if name not in CARDS:
        raise UserError(near_miss("weights", name, CARDS))
    return CARDS[name]


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
